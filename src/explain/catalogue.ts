import type { Stage } from '../decision.js'

/** A check, as it is listed where the request never came to it. */
interface ListedCheck {
  readonly name: string
  readonly clause: string
}

/** The checks of a stage, in their order. Those of a rule follow from the rule itself. */
export const catalogue: { readonly [S in Stage]: readonly ListedCheck[] } = {
  request: [
    { name: 'shape', clause: 'RFC 9110 section 2.2' },
    { name: 'credentials', clause: 'RFC 6750 section 2, RFC 9449 section 7.1' },
  ],
  token: [
    { name: 'form', clause: 'RFC 7515 section 5.2' },
    { name: 'typ', clause: 'RFC 9068 section 4' },
    { name: 'alg', clause: 'RFC 8725 section 3.1' },
    { name: 'issuer', clause: 'RFC 9068 section 4' },
    { name: 'key', clause: 'RFC 7515 section 5.2' },
    { name: 'signature', clause: 'RFC 7515 section 5.2' },
    { name: 'kind', clause: 'RFC 8725 section 3.12' },
    { name: 'claims', clause: 'RFC 9068 section 2.2' },
    { name: 'audience', clause: 'RFC 9068 section 4' },
    { name: 'lifetime', clause: 'RFC 9700 section 2.2.1' },
    { name: 'not_before', clause: 'RFC 7519 section 4.1.5' },
    { name: 'expiry', clause: 'RFC 7519 section 4.1.4' },
    { name: 'field', clause: 'RFC 6750 section 2' },
  ],
  revocation: [{ name: 'revocation', clause: 'RFC 7009 section 2' }],
  proof: [
    { name: 'binding', clause: 'RFC 9449 section 7.2' },
    { name: 'field', clause: 'RFC 9449 section 4.3 item 1' },
    { name: 'form', clause: 'RFC 9449 section 4.3 items 2 and 3' },
    { name: 'typ', clause: 'RFC 9449 section 4.3 item 4' },
    { name: 'alg', clause: 'RFC 9449 section 4.3 item 5' },
    { name: 'key', clause: 'RFC 9449 section 4.3 item 7' },
    { name: 'key_binding', clause: 'RFC 9449 section 4.3 item 12' },
    { name: 'key_import', clause: 'RFC 9449 section 4.3 item 6' },
    { name: 'ath', clause: 'RFC 9449 section 4.3 item 12' },
    { name: 'htm', clause: 'RFC 9449 section 4.3 item 8' },
    { name: 'htu', clause: 'RFC 9449 section 4.3 item 9' },
    { name: 'iat', clause: 'RFC 9449 section 4.3 item 11' },
    { name: 'signature', clause: 'RFC 9449 section 4.3 item 6' },
    { name: 'nonce', clause: 'RFC 9449 section 4.3 item 10' },
    { name: 'replay', clause: 'RFC 9449 section 11.1' },
  ],
  delegation: [
    { name: 'chain', clause: 'draft-goswami-agentic-jwt-01' },
    { name: 'form', clause: 'RFC 7515 section 5.2' },
    { name: 'depth', clause: 'RFC 8693 section 4.1' },
    { name: 'links', clause: 'draft-goswami-agentic-jwt-01' },
    { name: 'scopes', clause: 'RFC 8693 section 1.1' },
    { name: 'times', clause: 'RFC 7519 section 4.1.4' },
    { name: 'context', clause: 'draft-goswami-agentic-jwt-01' },
    { name: 'loops', clause: 'draft-goswami-agentic-jwt-01' },
    { name: 'chain_hash', clause: 'draft-goswami-agentic-jwt-01' },
    { name: 'signatures', clause: 'RFC 7515 section 5.2' },
  ],
  rule: [{ name: 'route', clause: 'RFC 9110 section 15.5.4' }],
}

/** Conditions of a rule by the beginning of their names. */
const ruleClauses: readonly (readonly [beginning: string, clause: string])[] = [
  ['scope', 'RFC 6750 section 3.1'],
  ['user.sub', 'RFC 9396 section 6'],
  ['user', 'RFC 9470 section 3'],
  ['claims', 'RFC 9396 section 6'],
  ['delegation', 'RFC 8693 section 4.1'],
  ['agents', 'RFC 9110 section 15.5.4'],
]

export function clauseOf(stage: Stage, name: string): string {
  const listed = catalogue[stage].find((check) => check.name === name)?.clause
  const ofRule = ruleClauses.find(([beginning]) => name.startsWith(beginning))?.[1]
  return listed ?? ofRule ?? 'draft-goswami-agentic-jwt-01'
}

/** Whether what a check has found is the caller's own word, until the signature of its stage has verified. */
export function isCallersWord(stage: Stage, name: string): boolean {
  if (stage === 'request' || stage === 'proof') return true
  return stage === 'token' && ['form', 'typ', 'alg', 'issuer', 'key', 'signature', 'field'].includes(name)
}
