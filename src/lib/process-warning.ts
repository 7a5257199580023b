/**
 * Emits a process warning, which can be disabled by its code, or `console.warn` in runtimes without warnings.
 */
export function processWarning(message: string, code: string): void {
  if (typeof globalThis.process?.emitWarning === 'function') {
    process.emitWarning(message, { type: 'AjwtWarning', code })
  } else console.warn(`[${code}] AjwtWarning: ${message}`)
}

export type WarnOnce = (message: string, code: string) => void

/** A process warning that is emitted once, however often it is called. */
export function createWarning(): WarnOnce {
  let hasWarned = false
  return (message, code) => {
    if (!hasWarned) processWarning(message, code)
    hasWarned = true
  }
}
