import { AjwtDeniedError } from '../errors.js'
import { challengeOf } from './denied.js'

/** Why a resource server, ajwt or not, refused a token. */
interface Refusal {
  status: number
  /** The code of ajwt. */
  code: string | undefined
  error: string | undefined
  scope: readonly string[]
}

/** Undefined for any other response. */
export function readRefusal(result: Response | AjwtDeniedError): Refusal | undefined {
  if (result instanceof AjwtDeniedError) {
    const { status, code, error, challenge } = result
    return { status, code, error: error ?? challenge?.error, scope: challenge?.scope ?? [] }
  }
  if (result.status !== 401 && result.status !== 403) return undefined
  const challenge = challengeOf(result)
  if (challenge === undefined) return undefined
  return { status: result.status, code: undefined, error: challenge.error, scope: challenge.scope ?? [] }
}

/** Whether the resource server may accept a new token of the same intent. */
export function canMend({ status, code, error }: Refusal, isNew: boolean): boolean {
  if (code !== undefined) return code === 'token_expired' || code === 'token_reused'
  // RFC 6750 section 3.1. A token that was just issued has not expired.
  return status === 401 && error === 'invalid_token' && !isNew
}

/**
 * The scope for a second request, if the challenge requires more (RFC 6750 section 3.1) and `stepUp` allows
 * all of it: a server must not make the agent ask for other rights.
 */
export function widenedScope(
  { error, scope: required }: Refusal,
  scope: readonly string[],
  stepUp: readonly string[],
): string[] | undefined {
  const missing = required.filter((item) => !scope.includes(item))
  if (error !== 'insufficient_scope' || missing.length === 0) return undefined
  return missing.every((item) => stepUp.includes(item)) ? [...scope, ...missing] : undefined
}
