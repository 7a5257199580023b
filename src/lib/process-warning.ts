/**
 * Tells the operator of something that needs no code to be seen. Not through OpenTelemetry's diag, which is silent
 * until somebody gives it a logger: a process warning is on stderr by default, is an event for loggers, and can be
 * turned off by its code alone. Runtimes that have none get a line on the console.
 */
export function processWarning(message: string, code: string): void {
  if (typeof globalThis.process?.emitWarning === 'function') {
    process.emitWarning(message, { type: 'AjwtWarning', code })
  } else console.warn(`AjwtWarning: ${message}`)
}
