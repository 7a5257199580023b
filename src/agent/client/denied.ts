import type { AjwtDenial } from '../errors.js'
import { readJson } from '../http/body.js'
import { type AjwtChallenge, readChallenge } from '../http/challenge.js'
import { redact } from '../http/redact.js'

const MAX_DENIAL_BYTES = 16384

/**
 * Reads a denial by ajwt: status, `Cache-Control: no-store` and a JSON body `{ error?, error_description,
 * code }`. The body of any other response, including the API's own errors, stays unread for the caller.
 *
 * @param sent token and proofs of the request, which no error message may repeat
 */
export async function readDenial(
  response: Response,
  sent: readonly string[],
): Promise<AjwtDenial | undefined> {
  const { status, headers } = response
  if (
    ![400, 401, 403, 429, 503].includes(status) ||
    !/\bno-store\b/i.test(headers.get('cache-control') ?? '')
  )
    return
  if (!/^application\/json\b/i.test(headers.get('content-type') ?? '')) return
  const body = await readJson(response.clone(), MAX_DENIAL_BYTES)
  if (typeof body?.code !== 'string' || !/^[a-z][a-z_]{2,63}$/.test(body.code)) return
  if (typeof body.error_description !== 'string') return
  response.body?.cancel().catch(() => {})
  const retryAfter = headers.get('retry-after') ?? ''
  return {
    code: body.code,
    status,
    error: redact(body.error, sent),
    description: redact(body.error_description, sent) ?? '',
    challenge: readChallenge(withoutSent(headers.get('www-authenticate'), sent)),
    retryAfter: /^\d{1,9}$/.test(retryAfter) ? Number(retryAfter) : undefined,
  }
}

/**
 * The challenge in `WWW-Authenticate` of any resource server, with its requirements and its metadata URL.
 * Undefined if the response has none.
 */
export function challengeOf(response: Response): AjwtChallenge | undefined {
  return readChallenge(response.headers.get('www-authenticate'))
}

/** Whether any resource server, ajwt or not, requires a DPoP nonce (RFC 9449 section 9). */
export function asksForNonce(response: Response): boolean {
  return response.status === 401 && challengeOf(response)?.error === 'use_dpop_nonce'
}

function withoutSent(header: string | null, sent: readonly string[]): string | null {
  return header !== null && sent.some((value) => header.includes(value)) ? null : header
}
