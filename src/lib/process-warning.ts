/**
 * Emits a process warning, or a console line where a runtime has no warnings. OpenTelemetry's diag is silent by
 * default; a process warning is on stderr and can be turned off by its code.
 */
export function processWarning(message: string, code: string): void {
  if (typeof globalThis.process?.emitWarning === 'function') {
    process.emitWarning(message, { type: 'AjwtWarning', code })
  } else console.warn(`AjwtWarning: ${message}`)
}
