import { type CachedDecision, internalError, latestDecisions } from '../../connection/latest-decision.js'
import type { Decision } from '../../decision.js'
import { createWarning } from '../../lib/process-warning.js'
import { toHttpAnswer } from '../answer.js'
import { type AnyMiddleware, createAnyMiddleware, type Exchange } from './exchange.js'

/** A request that `ajwt` has let through, with its decision. */
export interface DecidedExchange extends CachedDecision {
  readonly exchange: Exchange
  readonly outcome: Decision
  /** The parsed body, undefined if there is none. */
  readonly body: unknown
}

/**
 * Makes a middleware for requests that an `ajwt` middleware has let through. A request that none has seen is
 * the app's mistake: 503, and one warning.
 */
export function createDecidedMiddleware(
  name: string,
  handle: (decided: DecidedExchange) => unknown,
): AnyMiddleware {
  const warnOnce = createWarning()
  return createAnyMiddleware(name, async (exchange) => {
    const cached = latestDecisions.get(exchange.source)
    if (cached === undefined) {
      warnOnce(notMounted(name), 'AJWT_NOT_MOUNTED')
      return exchange.answer(toHttpAnswer(internalError))
    }
    const outcome = await cached.decision
    // No adapter lets a denied request through.
    if (outcome.outcome === 'deny') return exchange.answer(toHttpAnswer(outcome))
    return handle({ ...cached, exchange, outcome, body: await exchange.readBody() })
  })
}

function notMounted(name: string): string {
  return (
    `${name} was reached by a request that no ajwt middleware has seen: mount ajwt(policy) in front of it, on the same ` +
    'app; until then it answers 503'
  )
}
