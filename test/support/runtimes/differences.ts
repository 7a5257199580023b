import type { Runtime } from './servers.js'

/** The status of a server that closes the connection without an answer. */
const closed = 'closed'

const malformedField = { workerd: '400', bun: '400', deno: '400' }
// The reset of the connection can overtake the response while the client still writes 1 MB.
const longField = { workerd: ['431', closed], bun: ['431', closed], deno: ['400', closed] }
const oddMethod = { workerd: '501', bun: closed }

/**
 * Requests that the HTTP server of a runtime settles before any middleware, by the id of the row: with which
 * status. No handler runs. Bun takes `\` in a path for `/`, so that the proof is for another URL, or no route
 * is found.
 */
export const differences: Readonly<Record<string, Partial<Record<Runtime, string | readonly string[]>>>> = {
  'A009/proof-nul': malformedField,
  'A009/token-nul': malformedField,
  'A202/newline': malformedField,
  'A202/nul': malformedField,
  'A010/1-mb': longField,
  'A010/proof-1-mb': longField,
  'A011/token': longField,
  'A010/at-limit': { bun: '431' },
  'A010/over-limit': { bun: '431' },
  'A011/token-16k': { bun: '431' },
  'A161/none': { workerd: '400', bun: '400' },
  'A161/user': { bun: '403' },
  'A211/backslash': { bun: '401' },
  'A211/backslash-authenticate': { bun: '401' },
  'A211/backslash-open': { bun: '404' },
  'A211/backslash-stranger': { bun: '401' },
  'A216/FOO': oddMethod,
  'A216/Get': oddMethod,
  'A216/get': oddMethod,
  'A216/__proto__': { workerd: '501', bun: '400' },
}
