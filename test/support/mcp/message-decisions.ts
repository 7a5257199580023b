import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createKit } from '../../../fixtures/kit.js'
import {
  createVerifier,
  type Decision,
  type DecisionFacts,
  type Grant,
  type Policy,
  type VerifierOptions,
} from '../../../src/index.js'
import { allowedTools, decideMessage, type McpRules } from '../../../src/mcp/index.js'

export interface Ask {
  readonly claims?: Record<string, unknown>
  /** Of the request. */
  readonly method?: string
  /** Of the message, beside those that a verifier reads. */
  readonly fields?: Record<string, string | string[]>
  readonly denials?: 'auto' | 'http'
  /** Without credentials. */
  readonly anonymous?: boolean
}

/** The response to a message. Undefined: it may be handled. */
export type MessageAnswer =
  | { readonly status: number; readonly body: Record<string, unknown>; readonly headers: Headers }
  | undefined

/** A verifier for an MCP server at `POST /mcp`, and what it says to messages. */
export function createMessageDecider(policy: Partial<Policy> = {}, options: VerifierOptions = {}) {
  const kit = createKit()
  const told: [Decision, DecisionFacts][] = []
  const routes = { '* /mcp': 'authenticated' } as const
  const verifier = createVerifier(
    { ...defaultPolicy(), routes, ...policy },
    { now: () => kit.now, onDecision: (...all) => void told.push(all), ...options },
  )

  async function decide({ claims = {}, method = 'POST', anonymous = false }: Ask = {}): Promise<Decision> {
    const call = kit.call({ method, path: '/mcp', token: { claims } })
    const headers = anonymous
      ? new Headers()
      : new Headers(call.headers.map(([name, value]) => [name, value]))
    return verifier.verify({ method, url: call.url, headers })
  }

  async function tell(rules: McpRules, message: unknown, ask: Ask = {}): Promise<MessageAnswer> {
    const { fields = {}, denials } = ask
    const { response } = await decideMessage(
      rules,
      message,
      await decide(ask),
      fields,
      denials && { denials },
    )
    if (response === undefined) return undefined
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      headers: response.headers,
    }
  }

  async function grantOf(claims: Record<string, unknown>): Promise<Grant> {
    const decision = await decide({ claims })
    if (decision.outcome !== 'allow') throw new Error(JSON.stringify(decision))
    return decision.grant
  }

  const list = async (rules: McpRules, claims: Record<string, unknown> = {}) =>
    allowedTools(rules, await grantOf(claims))

  return { kit, verifier, told, decide, tell, grantOf, list }
}

/** A JSON-RPC request as it comes from the parser. */
export function request(method: string, params?: object, id: unknown = 7): unknown {
  return JSON.parse(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
}

export function call(name: unknown, args?: unknown): unknown {
  return request('tools/call', { name, arguments: args })
}

/** The outcome in one line: `passes`, or status and code. */
export function briefly(told: MessageAnswer): string {
  if (told === undefined) return 'passes'
  const { status, body } = told
  if (status !== 200 && 'code' in body) return `${status} ${body.code}`
  const error = body.error as { code: number } | undefined
  if (error !== undefined) return `${status} ${error.code}`
  const result = body.result as { isError: boolean; _meta: Record<string, unknown> }
  return `${status} result ${result.isError} ${result._meta['ajwt/code']}`
}
