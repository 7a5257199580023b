import type { Decision } from '../decision.js'
import { isPromiseLike } from '../lib/promise.js'
import type { DecisionFacts } from './facts.js'

/** `console`, a pino logger, or any object with a method `warn`. */
export interface DenialLogger {
  warn(...args: unknown[]): unknown
}

/** Writes one line for a denial. */
export type DenialLog = (decision: Decision, facts: DecisionFacts) => void

/**
 * Writes denials to the option `log` and, with `NODE_DEBUG=ajwt`, to standard error. Undefined without both.
 */
export function createDenialLog(logger: DenialLogger | undefined): DenialLog | undefined {
  const debug = debugLog()
  if (logger === undefined && debug === undefined) return undefined
  return (decision, facts) => {
    if (!('code' in decision)) return
    const line = formatDenial(decision, facts)
    debug?.(line)
    if (logger === undefined) return
    const { outcome, code, stage, status } = decision
    const result = isPino(logger)
      ? logger.warn({ outcome, code, stage, status, ...facts }, line)
      : logger.warn(line)
    // An unhandled rejection would end the process.
    if (isPromiseLike(result)) result.then(undefined, () => {})
  }
}

type Denied = Extract<Decision, { code: unknown }>

/** Always one line, because the values are printable and cut. Values of the caller are in quotes. */
function formatDenial({ outcome, code, stage, status, description }: Denied, facts: DecisionFacts): string {
  const { method, route, agent, workflow, target, traceId, overrules, cause } = facts
  const pairs: readonly (readonly [string, unknown])[] = [
    ['agent', agent],
    ['route', `${method} ${route ?? '(undeclared)'}`],
    ['workflow', workflow],
    ['target', target],
    ['trace', traceId],
    ['overrules', overrules],
    // A code with one cause says it itself.
    ['reason', cause?.reason ?? description],
    ['issuer', cause?.issuer],
    ['claim', cause?.claim],
    ['expected', cause?.expected],
    [cause?.unverified ? 'found_unverified' : 'found', cause?.found],
  ]
  const fields = pairs.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${JSON.stringify(value)}`],
  )
  return [`ajwt ${outcome} ${status} ${code} stage=${stage}`, ...fields].join(' ')
}

/** Pino takes fields before the text. Other loggers would print them on extra lines. */
function isPino(logger: DenialLogger): boolean {
  return ['child', 'bindings'].every((name) => typeof Reflect.get(logger, name) === 'function')
}

/** `debuglog` of Node, Deno and Bun, if `NODE_DEBUG` enables it. */
function debugLog(): ((line: string) => void) | undefined {
  try {
    const log = globalThis.process?.getBuiltinModule?.('node:util')?.debuglog('ajwt')
    return log?.enabled ? log : undefined
  } catch {
    return undefined
  }
}
