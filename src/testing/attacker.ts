import type { Mint, TestCall } from './mint.js'

/** An API: its origin, or a function such as Hono's `app.fetch`. */
export type TestApp = string | URL | ((request: Request) => Response | Promise<Response>)

/** The honest request that is attacked, what goes with it, and what else of the app can be attacked. */
export interface AttackTarget extends Omit<TestCall, 'token' | 'nonce'> {
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The rule has `anonymous: true`: a request without credentials is no attack. Default false. */
  readonly anonymous?: boolean
  /** The rule has `once: true`: a token is used a second time, with a proof of its own. Default false. */
  readonly once?: boolean
  /** The same API behind another verifier, in this process or another: what was used up here is tried there. */
  readonly replica?: TestApp
  /** Fields of a request from which a middleware in front of `ajwt` takes the credentials, or replaces them. */
  readonly stripped?: Readonly<Record<string, string>>
  /**
   * The revocation list of the app: agents that nothing else uses are revoked, and of `intent.chain` the last
   * delegator, so that the honest request is refused afterwards. `revoke` resolves when the app knows of it.
   */
  readonly revocations?: { revoke(id: string, until: number): unknown }
}

export interface AttackRow {
  readonly name: string
  /** Status and denial code, such as `401 proof_replayed`. */
  readonly expected: string
  readonly got: string
  readonly ok: boolean
}

/** What goes on the wire in place of the honest credentials. */
export interface Forgery {
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Where it is not the honest one. */
  readonly path?: string
  /** Where it does not go to the app under attack. */
  readonly app?: TestApp
}

export interface Answer {
  readonly status: number
  /** The denial code, where ajwt answered. */
  readonly code: string | undefined
}

/** One attack's hands: all that it makes is honest but for what it says. */
export interface Attacker {
  readonly mint: Mint
  readonly target: AttackTarget
  readonly method: string
  readonly url: string
  readonly path: string
  claims(change?: Partial<TestCall>): Record<string, unknown>
  token(change?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): string
  proof(token: string, over?: Partial<Parameters<Mint['proof']>[0]>): string
  /** Whether the API has refused a proof for want of a nonce: one that only offers a nonce still goes by `iat`. */
  asksForNonce(): boolean
  /** The two fields. */
  carry(token: string, proof?: string): Forgery
  send(forgery: Forgery): Promise<Answer>
}
