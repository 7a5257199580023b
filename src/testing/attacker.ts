import type { TestCall, TokenFactory } from './token-factory.js'

/** An API: its origin, or a function such as Hono's `app.fetch`. */
export type TestApp = string | URL | ((request: Request) => Response | Promise<Response>)

/** The honest request that is attacked, and further properties of the app that can be attacked. */
export interface AttackTarget extends Omit<TestCall, 'token' | 'nonce'> {
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The rule has `anonymous: true`, so a request without credentials is no attack. Default false. */
  readonly anonymous?: boolean
  /** The rule has `once: true`, so a token is used a second time, with a new proof. Default false. */
  readonly once?: boolean
  /** The same API behind another verifier, in any process. Used proofs and tokens are replayed there. */
  readonly replica?: TestApp
  /** Request headers that make another middleware in front of `ajwt` remove or replace the credentials. */
  readonly stripped?: Readonly<Record<string, string>>
  /**
   * The revocation list of the app. The attacks revoke agents of their own, and the last delegator of
   * `intent.chain`: afterwards the honest request is denied. The promise of `revoke` must resolve when the
   * app uses the new list.
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

/** A request on the wire in place of the honest one. */
export interface Forgery {
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Default: the path of the honest request. */
  readonly path?: string
  /** Default: the app under attack. */
  readonly app?: TestApp
}

export interface Answer {
  readonly status: number
  /** The denial code, if ajwt denied the request. */
  readonly code: string | undefined
}

/** Makes the parts of a request. Each part is honest except for the changes in the arguments. */
export interface Attacker {
  readonly factory: TokenFactory
  readonly target: AttackTarget
  readonly method: string
  readonly url: string
  readonly path: string
  claims(change?: Partial<TestCall>): Record<string, unknown>
  token(change?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): string
  proof(token: string, changes?: Partial<Parameters<TokenFactory['proof']>[0]>): string
  /** Whether the API requires a nonce. An API that only offers a nonce still checks `iat`. */
  asksForNonce(): boolean
  /** `Authorization` and `DPoP`, with a new honest proof by default. */
  withCredentials(token: string, proof?: string): Forgery
  send(forgery: Forgery): Promise<Answer>
}
