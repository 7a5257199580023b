import type { DenialCode } from '../index.js'
import type { Attacker, AttackTarget, Forgery } from './attacker.js'

export interface Attack {
  readonly name: string
  readonly expected: readonly [status: number, ...codes: DenialCode[]]
  /** Default: the attack applies to every route. */
  readonly applies?: (target: AttackTarget, api: { readonly asksForNonce: boolean }) => boolean
  readonly forge: (attacker: Attacker) => Forgery | Promise<Forgery>
}

export const DAY = 86_400
export const SOMEBODY = 'ajwt-test-somebody-else'

/** A token with changed claims, and an honest proof. */
export const tokenWith =
  (change: (claims: Record<string, unknown>, now: number) => object, header?: object) =>
  (attacker: Attacker) =>
    attacker.withCredentials(
      attacker.token({ ...change(attacker.claims(), attacker.factory.seconds()) }, { ...header }),
    )

/** An honest token, and a changed proof. */
export const proofWith =
  (change: (attacker: Attacker) => Parameters<Attacker['proof']>[1]) => (attacker: Attacker) => {
    const token = attacker.token()
    return attacker.withCredentials(token, attacker.proof(token, change(attacker)))
  }

export const intentWith = (change: object) =>
  tokenWith((claims) => ({ intent: { ...intentMembers(claims), ...change } }))

export function intentMembers({ intent }: Record<string, unknown>): Record<string, unknown> {
  return Object(intent)
}

/** Changes the claims of a JWS, but keeps its header and signature. */
export function altered(jws: string, change: object): string {
  const [header, payload = '', signature] = jws.split('.')
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...change }
  return [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
}
