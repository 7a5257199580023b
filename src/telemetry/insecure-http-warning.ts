import { processWarning } from '../lib/process-warning.js'
import { printable } from '../lib/sanitize.js'
import type { Policy } from '../policy/policy.js'

/** Warns, when a verifier is made, that its policy allows keys to be fetched over http. */
export function warnAboutInsecureHttp({ allowInsecureHttp }: Policy): void {
  if (allowInsecureHttp === undefined || allowInsecureHttp === false) return
  const hosts = allowInsecureHttp === true ? 'any host' : allowInsecureHttp.map(printable).join(', ')
  processWarning(
    `the policy allows http for ${hosts} (allowInsecureHttp): a network attacker can replace issuer keys`,
    'AJWT_INSECURE_HTTP',
  )
}
