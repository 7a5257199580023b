import type { DenialCode } from '../protocol/denials.js'
import type { Cause } from '../refusal.js'

// `#advice` under the condition `ajwt-checked`: the texts are half of what such a bundle has for `explain`.

export function adviceOf(_code: DenialCode, _cause: Cause | undefined): string | undefined {
  return undefined
}
