import { isObject } from '../../lib/objects.js'
import { UsageError } from '../usage-error.js'
import { type CapturedRequest, groupFields, readField } from './captured.js'

export interface TypedRequest {
  readonly method?: string
  readonly url?: string
  readonly token?: string
  readonly proof?: readonly string[]
  readonly header?: readonly string[]
}

/** A request out of flags. */
export function readTyped({
  method = 'GET',
  url,
  token,
  proof = [],
  header = [],
}: TypedRequest): CapturedRequest {
  if (url === undefined)
    throw new UsageError('explain needs a request: --url with --token and --proof, or --curl, --har, --otlp')
  const fields = header.map(readField)
  if (token !== undefined) fields.push(['authorization', `${schemeOf(token, proof)}${token.trim()}`])
  for (const text of proof) fields.push(['dpop', text])
  return { method: method.toUpperCase(), url, headers: groupFields(fields) }
}

/** The default scheme of a token: DPoP if there is a proof, or if the token is bound to a key. */
function schemeOf(token: string, proof: readonly string[]): string {
  if (token.trim().includes(' ')) return ''
  return proof.length > 0 || isBound(token) ? 'DPoP ' : 'Bearer '
}

function isBound(token: string): boolean {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    return isObject(claims) && claims.cnf !== undefined
  } catch {
    return true
  }
}
