import { processWarning } from '../lib/process-warning.js'
import { printable } from '../lib/sanitize.js'
import type { Policy } from '../policy/policy.js'

/** One warning for a policy that takes keys over http, when its verifier is made. */
export function warnOfInsecureHttp({ allowInsecureHttp }: Policy): void {
  if (allowInsecureHttp === undefined || allowInsecureHttp === false) return
  const where = allowInsecureHttp === true ? 'any host' : allowInsecureHttp.map(printable).join(', ')
  processWarning(
    `the policy allows http for ${where} (allowInsecureHttp): whoever is on the way can replace the keys of an issuer`,
    'AJWT_INSECURE_HTTP',
  )
}
