import type { IssuerPolicy } from '../index.js'
import { createAgents, type TestAgentOptions } from './agent.js'
import type { AttackRow, AttackTarget, TestApp } from './attacker.js'
import { generateKey } from './key.js'
import { runAttacks } from './run-attacks.js'
import { createTokenFactory, type TestCall, type TestHeaders, type TokenClaims } from './token-factory.js'
import type { DelegationGrant, TestAgent, TestDelegation } from './types.js'

export interface TestIssuerOptions {
  /** Default `https://issuer.test`. */
  readonly issuer?: string
  /** The API's audience, as in its policy. Default `https://api.test`. */
  readonly audience?: string
  /** The API's `publicUrl`, if its policy has one. Default: the origin of the audience. */
  readonly publicUrl?: string
  /** Milliseconds since the epoch, if the verifier does not use the system clock. */
  readonly now?: () => number
}

/** An authorization server inside a test: no network, nothing to start or stop. */
export interface TestIssuer {
  readonly issuer: string
  readonly audience: string
  /** For `issuer` of the policy under test. Contains this issuer's key, so nothing is fetched. */
  readonly policyIssuer: IssuerPolicy
  /** The agent with this id. The first call registers it. */
  agent(id: string, options?: TestAgentOptions): TestAgent
  /** A token with these claims and honest ones for the rest. It is bound to the key of the agent in `sub`. */
  token(claims?: TokenClaims): string
  /** The credentials of one request: a token and a fresh proof. */
  headers(call: TestCall): TestHeaders
  /** A chain through these agents in order. Each delegates all the rights that it has. */
  delegate(agents: readonly (TestAgent | string)[], grant: DelegationGrant): TestDelegation
  /**
   * Attacks one protected route of an app. Returns one row for each attack. The first row is the honest
   * request, which must be allowed.
   *
   * @param app its origin, or a function from Request to Response
   * @param target the honest request. The route is expected to require the scope, intent and user of the
   * target. Set `anonymous` for a route with `anonymous: true`: an unprotected route looks the same
   */
  attacks(app: TestApp, target: AttackTarget): Promise<AttackRow[]>
}

/** @throws TypeError if the audience is no http(s) URL and there is no `publicUrl` */
export function createTestIssuer(options: TestIssuerOptions = {}): TestIssuer {
  const { issuer = 'https://issuer.test', audience = 'https://api.test', now = Date.now } = options
  const publicUrl = options.publicUrl ?? originOf(audience)
  const kid = 'test-issuer'
  const key = generateKey()
  const agents = createAgents(audience, now)
  const factory = createTokenFactory({ issuer, audience, publicUrl, key, kid, agents, now })
  const jwk: Record<string, unknown> = { ...key.jwk, kid, alg: 'ES256', use: 'sig' }

  return Object.freeze<TestIssuer>({
    issuer,
    audience,
    policyIssuer: { url: issuer, jwks: { keys: [jwk] } },
    agent: agents.agent,
    token: (claims = {}) => factory.sign(factory.claims({ claims })),
    headers(call) {
      const { method = 'GET', nonce, token = factory.sign(factory.claims(call)) } = call
      const url = factory.urlOf(call.url)
      const key = agents.keyOf(call.token === undefined ? factory.executor(call) : holderOf(token, call))
      const dpop = factory.proof({ method, url, token, key, nonce })
      return { authorization: `DPoP ${token}`, dpop }
    },
    delegate([first, second, ...rest], grant) {
      if (first === undefined || second === undefined)
        throw new TypeError('a delegation needs at least two agents')
      const toAgent = (agent: TestAgent | string) => (typeof agent === 'string' ? agents.agent(agent) : agent)
      const start = toAgent(first).delegateTo(second, grant)
      // `grant.after` applies to the first hop only. Each further hop continues the one before it.
      return rest.reduce<TestDelegation>((after, to) => after.to.delegateTo(to, { ...grant, after }), start)
    },
    attacks: (app, target) => runAttacks(factory, app, target),
  })
}

/** The agent that signs the proof: the agent of the call, or else the subject of the token. */
function holderOf(token: string, { agent }: TestCall): TestAgent | string {
  if (agent !== undefined) return agent
  const payload: { sub?: string } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  return payload.sub ?? 'test-agent'
}

function originOf(audience: string): string {
  const url = URL.canParse(audience) ? new URL(audience) : undefined
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url.origin
  throw new TypeError('publicUrl is needed, because the audience is not an http(s) URL')
}
