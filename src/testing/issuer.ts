import type { IssuerPolicy } from '../index.js'
import { createAgents, type TestAgentOptions } from './agent.js'
import { runAttacks } from './attack.js'
import type { AttackRow, AttackTarget, TestApp } from './attacker.js'
import { generateKey } from './key.js'
import { createMint, type TestCall, type TestHeaders, type TokenClaims } from './mint.js'
import type { DelegationGrant, TestAgent, TestDelegation } from './parties.js'

export interface TestIssuerOptions {
  /** Default `https://issuer.test`. */
  readonly issuer?: string
  /** The API's audience, as in its policy. Default `https://api.test`. */
  readonly audience?: string
  /** The API's `publicUrl`, where its policy has one. Default: the origin of the audience. */
  readonly publicUrl?: string
  /** Milliseconds since the epoch, where the verifier's clock is not the real one. */
  readonly now?: () => number
}

/** An authorization server that lives in a test: no network, nothing to start or stop. */
export interface TestIssuer {
  readonly issuer: string
  readonly audience: string
  /** Goes into `issuer` of the policy under test: it trusts this issuer's key, and fetches nothing. */
  readonly policyIssuer: IssuerPolicy
  /** An agent by its id, registered when first named. */
  agent(id: string, options?: TestAgentOptions): TestAgent
  /** A token with these claims, and honest ones for the rest; `sub` says whose it is, bound to that agent's key. */
  token(claims?: TokenClaims): string
  /** The credentials of one request: a token and a fresh proof. */
  headers(call: TestCall): TestHeaders
  /** A chain through these agents, in this order, each handing on all that it was handed. */
  delegate(agents: readonly (TestAgent | string)[], grant: DelegationGrant): TestDelegation
  /**
   * Attacks one protected route of an app, and tells of each attack what came of it. The first row is the honest
   * request, which has to be let through.
   *
   * @param app its origin, or a function from Request to Response
   * @param target the honest request: whatever scope, intent or user it names, the route is expected to need. A route
   * with `anonymous: true` has to be named as one, since a route that is open by mistake looks the same
   */
  attacks(app: TestApp, target: AttackTarget): Promise<AttackRow[]>
}

/** @throws TypeError where the audience is not a URL and there is no `publicUrl` */
export function createTestIssuer(options: TestIssuerOptions = {}): TestIssuer {
  const { issuer = 'https://issuer.test', audience = 'https://api.test', now = Date.now } = options
  const publicUrl = options.publicUrl ?? originOf(audience)
  const kid = 'test-issuer'
  const key = generateKey()
  const agents = createAgents(audience, now)
  const mint = createMint({ issuer, audience, publicUrl, key, kid, agents, now })
  const jwk: Record<string, unknown> = { ...key.jwk, kid, alg: 'ES256', use: 'sig' }

  return Object.freeze<TestIssuer>({
    issuer,
    audience,
    policyIssuer: { url: issuer, jwks: { keys: [jwk] } },
    agent: agents.agent,
    token: (claims = {}) => mint.sign(mint.claims({ claims })),
    headers(call) {
      const { method = 'GET', nonce, token = mint.sign(mint.claims(call)) } = call
      const url = mint.urlOf(call.url)
      const key = agents.keyOf(call.token === undefined ? mint.executor(call) : holderOf(token, call))
      const dpop = mint.proof({ method, url, token, key, nonce })
      return { authorization: `DPoP ${token}`, dpop }
    },
    delegate([first, second, ...rest], grant) {
      if (first === undefined || second === undefined) throw new TypeError('a delegation needs two agents')
      const toAgent = (agent: TestAgent | string) => (typeof agent === 'string' ? agents.agent(agent) : agent)
      const start = toAgent(first).delegateTo(second, grant)
      // Each continues what it got, and nothing else: `after` was for the first.
      return rest.reduce<TestDelegation>((after, to) => after.to.delegateTo(to, { ...grant, after }), start)
    },
    attacks: (app, target) => runAttacks(mint, app, target),
  })
}

/** Whose proof goes with a token: the agent's that the call names, or else that the token names. */
function holderOf(token: string, { agent }: TestCall): TestAgent | string {
  if (agent !== undefined) return agent
  const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    sub?: string
  }
  return payload.sub ?? 'test-agent'
}

function originOf(audience: string): string {
  const url = URL.canParse(audience) ? new URL(audience) : undefined
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url.origin
  throw new TypeError('publicUrl is needed where the audience is not an http(s) URL')
}
