import type { Send } from './checks.js'

/** A Lambda handler of `hono/aws-lambda`. */
export type Handler = (event: object, context: object) => Promise<LambdaResult>

interface LambdaResult {
  readonly statusCode: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
  readonly multiValueHeaders?: Readonly<Record<string, readonly string[]>>
}

/** Sends a request as the events of API Gateway (payload formats 1.0 and 2.0) and of a load balancer. */
export const lambdaSenders: Readonly<Record<string, (handler: Handler) => Send>> = {
  'API Gateway, format 1.0': senderOf(({ method, path, headers }) => ({
    resource: '/{proxy+}',
    path,
    httpMethod: method,
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    requestContext: {
      domainName: 'orders.test',
      httpMethod: method,
      path,
      identity: { sourceIp: '127.0.0.1' },
    },
    body: null,
    isBase64Encoded: false,
  })),
  'API Gateway, format 2.0': senderOf(({ method, path, headers }) => ({
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers,
    requestContext: { domainName: 'orders.test', http: { method, path, sourceIp: '127.0.0.1' } },
    body: null,
    isBase64Encoded: false,
  })),
  'a load balancer': senderOf(({ method, path, headers }) => ({
    requestContext: { elb: { targetGroupArn: 'arn' } },
    httpMethod: method,
    path,
    queryStringParameters: {},
    headers: { host: 'orders.test', ...headers },
    body: '',
    isBase64Encoded: false,
  })),
}

interface Call {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

function senderOf(toEvent: (call: Call) => object): (handler: Handler) => Send {
  return (handler) => async (request) => {
    const { pathname } = new URL(request.url)
    const headers = Object.fromEntries(request.headers)
    const result = await handler(toEvent({ method: request.method, path: pathname, headers }), {})
    const fields = Object.entries(result.headers ?? {})
    for (const [name, values] of Object.entries(result.multiValueHeaders ?? {})) {
      for (const value of values) fields.push([name, value])
    }
    return new Response(result.body, { status: result.statusCode, headers: fields })
  }
}
