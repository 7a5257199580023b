import { parseArgs } from 'node:util'
import { split } from 'shlex'
import { UsageError } from '../usage-error.js'
import { type CapturedRequest, groupFields, readField } from './captured.js'

/**
 * Options of curl that take a value, as far as they are met in practice: another's value would pass for the
 * URL.
 */
const withValue = {
  request: { type: 'string', short: 'X' },
  header: { type: 'string', short: 'H', multiple: true },
  url: { type: 'string' },
  data: { type: 'string', short: 'd' },
  'data-raw': { type: 'string' },
  'data-binary': { type: 'string' },
  'data-ascii': { type: 'string' },
  'data-urlencode': { type: 'string' },
  json: { type: 'string' },
  form: { type: 'string', short: 'F' },
  'upload-file': { type: 'string', short: 'T' },
  'oauth2-bearer': { type: 'string' },
  user: { type: 'string', short: 'u' },
  'user-agent': { type: 'string', short: 'A' },
  referer: { type: 'string', short: 'e' },
  cookie: { type: 'string', short: 'b' },
  'cookie-jar': { type: 'string', short: 'c' },
  output: { type: 'string', short: 'o' },
  'write-out': { type: 'string', short: 'w' },
  'max-time': { type: 'string', short: 'm' },
  'connect-timeout': { type: 'string' },
  retry: { type: 'string' },
  proxy: { type: 'string', short: 'x' },
  cacert: { type: 'string' },
  cert: { type: 'string', short: 'E' },
  key: { type: 'string' },
  resolve: { type: 'string' },
  'connect-to': { type: 'string' },
  interface: { type: 'string' },
  range: { type: 'string', short: 'r' },
  get: { type: 'boolean', short: 'G' },
  head: { type: 'boolean', short: 'I' },
} as const

/** Options that make curl send a body, and so POST. */
const bodies = ['data', 'data-raw', 'data-binary', 'data-ascii', 'data-urlencode', 'json', 'form'] as const

/** Reads a curl command as a browser or a colleague gives it, quotes and line ends included. */
export function readCurl(command: string): CapturedRequest {
  const [program, ...args] = words(command)
  if (!/(^|[\\/])curl(\.exe)?$/.test(program ?? ''))
    throw new UsageError('--curl takes a whole command in quotes: \'curl -H "Authorization: …" https://…\'')
  const { values, positionals } = parseArgs({
    args,
    options: withValue,
    strict: false,
    allowPositionals: true,
  })
  const url = textOf(values.url) ?? positionals[0]
  if (url === undefined) throw new UsageError('the curl command has no URL')
  const written = (Array.isArray(values.header) ? values.header : []).map(String)
  const fields = written.filter((text) => text.includes(':')).map(readField)
  const bearer = textOf(values['oauth2-bearer'])
  if (bearer !== undefined) fields.push(['authorization', `Bearer ${bearer}`])
  if (textOf(values.user) !== undefined) fields.push(['authorization', 'Basic (left out)'])
  for (const [name, value] of fields) {
    const variable = /\$\{?\w+\}?|\$\(/.exec(value)?.[0]
    if (variable !== undefined && /^(authorization|dpop)$/i.test(name.trim()))
      throw new UsageError(
        `the field ${name.trim()} has the shell's ${variable} in it: quote the command so that the shell fills it in, as in --curl "curl -H 'Authorization: DPoP $TOKEN' …"`,
      )
  }
  return { method: methodOf(values), url: withScheme(url), headers: groupFields(fields) }
}

function words(command: string): string[] {
  try {
    return split(command.trim())
  } catch (error) {
    throw new UsageError(`the curl command cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}

function methodOf(values: Readonly<Record<string, unknown>>): string {
  const asked = textOf(values.request)
  if (asked !== undefined) return asked
  if (values.head !== undefined) return 'HEAD'
  if (values['upload-file'] !== undefined) return 'PUT'
  return values.get === undefined && bodies.some((name) => values[name] !== undefined) ? 'POST' : 'GET'
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function withScheme(url: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(url) || url.startsWith('/') ? url : `http://${url}`
}
