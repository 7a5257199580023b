/**
 * Emits a process warning, which can be disabled by its code, or `console.warn` in runtimes without warnings.
 */
export function processWarning(message: string, code: string): void {
  if (typeof globalThis.process?.emitWarning === 'function') {
    process.emitWarning(message, { type: 'AjwtWarning', code })
  } else console.warn(`[${code}] AjwtWarning: ${message}`)
}
