import type { RequestListener } from 'node:http'
import { type Answer, answerField, fromField } from './apps.js'
import { type Credential, type DeclaredRoute, satisfies } from './reference.js'
import { fieldsOf } from './tokens.js'
import { openWire, type RawRequest, type RawResponse, type Wire } from './wire.js'

/**
 * Two servers with the same handlers: one protected by `ajwt`, and one that shows which handler a request
 * reaches.
 */
export interface ServerPair {
  readonly guarded: Wire
  readonly open: Wire
  close(): Promise<void>
}

export async function startServerPair(): Promise<ServerPair> {
  const guarded = await openWire()
  const open = await openWire()
  return {
    guarded,
    open,
    async close() {
      await guarded.close()
      await open.close()
    },
  }
}

/** The result of a request by several callers. */
export interface AccessResult {
  /** The handler that the request reaches without `ajwt`. */
  readonly handler: DeclaredRoute | undefined
  /** How many callers reached a handler that they have access to. */
  readonly allowed: number
}

/** One app with and without `ajwt`, on a pair of servers. */
export interface AccessTest {
  /** Sends a request as callers without access to its handler. Throws if one of them reaches it. */
  sendAsIntruders(request: RawRequest): Promise<AccessResult>
  /** Sends a request with only the scope of this route. */
  call(request: RawRequest, route: DeclaredRoute): Promise<{ status: number; answer: Answer | undefined }>
  /** The handler that a request reaches without `ajwt`. */
  handlerFor(request: RawRequest): Promise<DeclaredRoute | undefined>
}

export function createAccessTest(
  servers: ServerPair,
  routes: readonly DeclaredRoute[],
  guarded: RequestListener,
  open: RequestListener,
): AccessTest {
  servers.guarded.serve(guarded)
  servers.open.serve(open)
  const byKey = new Map(routes.map((route) => [route.key, route]))
  const scopes = routes.flatMap(({ access }) => (typeof access === 'object' ? [access.scope] : []))

  async function send(request: RawRequest, credential: Credential): Promise<RawResponse> {
    const headers = [...request.headers, ...(await fieldsOf(credential))]
    return servers.guarded.send({ ...request, headers })
  }

  function handlerOf(response: RawResponse): DeclaredRoute | undefined {
    const answer = fromField(response.headers.get(answerField))
    return answer && byKey.get(answer.key)
  }

  async function handlerFor(request: RawRequest): Promise<DeclaredRoute | undefined> {
    return handlerOf(await servers.open.send(request))
  }

  /** Credentials that do not satisfy the handler: none, and all scopes but the required one. */
  function intruders(handler: DeclaredRoute | undefined): readonly Credential[] {
    if (handler === undefined || typeof handler.access === 'string') return ['none']
    const { scope } = handler.access
    return ['none', new Set(scopes.filter((other) => other !== scope))]
  }

  return {
    handlerFor,
    async sendAsIntruders(request) {
      const unguarded = await servers.open.send(request)
      const handler = handlerOf(unguarded)
      let allowed = 0
      for (const credential of intruders(handler)) {
        const response = await send(request, credential)
        const ran = handlerOf(response)
        if (response.status >= 500 && unguarded.status < 500)
          throw new Error(report(`status ${response.status}`, request, credential))
        if (ran === undefined) continue
        if (!satisfies(credential, ran.access)) {
          throw new Error(report(`reached the handler of ${JSON.stringify(ran.key)}`, request, credential))
        }
        checkParams(response, ran)
        allowed++
      }
      return { handler, allowed }
    },
    async call(request, route) {
      const scope = typeof route.access === 'object' ? [route.access.scope] : []
      const credential = route.access === 'public' ? 'none' : new Set(scope)
      const response = await send(request, credential)
      const ran = handlerOf(response)
      if (ran !== undefined) checkParams(response, ran)
      return { status: response.status, answer: fromField(response.headers.get(answerField)) }
    },
  }

  function report(what: string, { method, target, headers }: RawRequest, credential: Credential): string {
    const caller = credential === 'none' ? 'nothing' : `the scopes ${JSON.stringify([...credential])}`
    const fields = headers.map(([name, value]) => `\n  ${name}: ${value}`).join('')
    const policy = routes.map(({ key, access }) => `\n  ${key} => ${JSON.stringify(access)}`).join('')
    return `A caller with ${caller} ${what}:\n  ${method} ${JSON.stringify(target)}${fields}\nin${policy}`
  }
}

/** Checks that the handler and the rule have the same parameters. */
function checkParams(response: RawResponse, route: DeclaredRoute): void {
  const answer = fromField(response.headers.get(answerField)) as Answer
  if (answer.grant === null || answer.grant.route !== route.key.slice(route.key.indexOf(' ') + 1)) return
  const [inHandler, inRule] = [answer.params, answer.grant.params].map((params) => JSON.stringify(params))
  if (inHandler !== inRule)
    throw new Error(`${route.key}: the handler has ${inHandler}, the rule had ${inRule}`)
}
