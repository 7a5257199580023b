import type { Decision, Denial } from '../decision.js'
import type { Engine } from '../engine.js'
import { PolicyError } from '../policy/error.js'
import { agentRevocationIdsOf, revocationIdsOf } from '../token/revocation-ids.js'

export interface WatchOptions {
  /**
   * Seconds between two checks of an open connection: revocation, key, delegation. Above 0, at most 300.
   * Default: 10.
   */
  recheckInterval?: number
}

/** The interval of the options, in seconds. Throws a PolicyError for an unknown option or a wrong value. */
export function readInterval(options: WatchOptions): number {
  const issues = Object.keys(options)
    .filter((name) => name !== 'recheckInterval')
    .map((name) => ({ path: `options.${name}`, message: 'is not known' }))
  const { recheckInterval = 10 } = options
  if (!(typeof recheckInterval === 'number' && recheckInterval > 0 && recheckInterval <= 300)) {
    issues.push({
      path: 'options.recheckInterval',
      message: 'must be a number of seconds, above 0, at most 300',
    })
  }
  if (issues.length > 0) throw new PolicyError(issues)
  return recheckInterval
}

/**
 * Verifies the token of an open connection again: at once, every `interval` seconds, when it expires, and
 * when the revocation store tells that it is revoked. Calls `onEnd` once, with the denial. One timer for each
 * connection, so that checks are spread over the interval. Returns a function that ends the watch.
 */
export function watchCredentials(
  engine: Engine,
  decision: Decision,
  interval: number,
  onEnd: (denial: Denial) => void,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isEnded = false
  const unsubscribe = onRevoked(engine, decision, () => void check())

  async function check(): Promise<void> {
    const result = await engine.recheck(decision)
    if (isEnded) return
    if (typeof result === 'number') return schedule(result)
    // Only observed: the connection stays open.
    stop()
    if (result.outcome === 'deny') onEnd(result)
  }

  function schedule(secondsLeft: number): void {
    clearTimeout(timer)
    const seconds = Math.min(secondsLeft, interval)
    timer = setTimeout(() => void check(), Math.max(1, Math.ceil(seconds * 1000)))
    timer.unref?.()
  }

  function stop(): void {
    isEnded = true
    clearTimeout(timer)
    unsubscribe()
  }

  // Learns how long the token is good for.
  void check()
  return stop
}

/**
 * Calls `listener` when the revocation store tells that the token of an allowed request is revoked, or an
 * agent of its delegation. Returns a function that ends the calls.
 */
function onRevoked(engine: Engine, decision: Decision, listener: () => void): () => void {
  const authorized = engine.requestOf(decision)?.authorized
  const { revocations } = engine
  if (authorized === undefined || revocations?.onRevoked === undefined) return () => {}
  const { verified, delegation } = authorized
  const agentIds = agentRevocationIdsOf(verified.token.issuer, delegation.agents)
  const ids = new Set([...revocationIdsOf(verified), ...agentIds])
  return revocations.onRevoked((id) => {
    if (ids.has(id)) listener()
  })
}
