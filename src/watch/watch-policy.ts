import { processWarning } from '../lib/process-warning.js'
import { isPromiseLike } from '../lib/promise.js'
import { withoutControls } from '../lib/sanitize.js'
import type { VerifierOptions } from '../options.js'
import { PolicyError } from '../policy/error.js'
import { fileSystem, nameOf, parsePolicyFile } from '../policy/load.js'
import type { Policy } from '../policy/policy.js'
import { createVerifier, engineOf, onClose, type Verifier } from '../verifier.js'
import { type FileChange, watchFile } from './file-changes.js'

export interface WatchPolicyOptions extends VerifierOptions {
  /**
   * Seconds between two looks at the file, 0.05 to 3600. Default 1. Most file systems report a change at
   * once.
   */
  interval?: number
}

/**
 * Makes a verifier whose policy is that of a JSON file, also when the file changes. A policy that is wrong,
 * and a file that is gone, leave the old policy in place: that is a line in `log` (or the process warning
 * `AJWT_POLICY_KEPT`), and a `failure` of the metric `ajwt.policy.updates`. `close()` of the verifier ends
 * the watch. Throws as `loadPolicy` and `createVerifier` do.
 */
export function watchPolicy(
  file: string | URL,
  { interval = 1, ...options }: WatchPolicyOptions = {},
): Verifier {
  if (!(typeof interval === 'number' && interval >= 0.05 && interval <= 3600)) {
    throw new PolicyError([{ path: 'options.interval', message: 'must be 0.05 to 3600 seconds' }])
  }
  const name = nameOf(file)
  let current: Uint8Array = fileSystem(file).readFileSync(file)
  const verifier = createVerifier(parsePolicyFile(current, name), options)

  function keep(error: unknown, what: string): void {
    writeLine(options.log, `ajwt policy kept: ${what} file=${quote(name)} reason=${quote(reasonOf(error))}`)
  }

  function keepAndCount(error: unknown, what: string): void {
    engineOf(verifier).lasting.reporter.reportPolicyUpdate('failure')
    keep(error, what)
  }

  function apply(change: FileChange): void {
    if ('error' in change) {
      keepAndCount(change.error, 'the file cannot be read')
      return
    }
    if (isSame(change.bytes, current)) return
    let policy: Policy
    try {
      policy = parsePolicyFile(change.bytes, name)
    } catch (error) {
      keepAndCount(error, wrong)
      return
    }
    try {
      verifier.update(policy)
      current = change.bytes
    } catch (error) {
      // `update` has counted it.
      keep(error, wrong)
    }
  }

  onClose(verifier, watchFile(file, interval, apply))
  return verifier
}

const wrong = 'the new one is wrong'

const quote = JSON.stringify

/** A failing logger must not end the watch. */
function writeLine(log: VerifierOptions['log'], line: string): void {
  if (log === undefined) {
    processWarning(line, 'AJWT_POLICY_KEPT')
    return
  }
  try {
    const result = log.warn(line)
    if (isPromiseLike(result)) result.then(undefined, () => {})
  } catch {
    // There is nowhere else to report it.
  }
}

/** One line: each problem with its position. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n')
  const problems = lines.length > 1 ? lines.slice(1) : lines
  return withoutControls(problems.map((line) => line.trim()).join('; '))
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index])
}
