import { parseArgs } from 'node:util'
import { readText } from '../files.js'
import { UsageError } from '../usage-error.js'
import { type CapturedRequest, groupFields, readField } from './captured.js'
import { curlOptions } from './curl-options.js'
import { shellWords } from './shell-words.js'

/** Options that make curl send a body, and so POST. */
const bodies = [
  'data',
  'data-raw',
  'data-binary',
  'data-ascii',
  'data-urlencode',
  'json',
  'form',
  'form-string',
]

/** The values of each option of a command. */
type Values = ReadonlyMap<string, readonly string[]>

/**
 * Reads a curl command as a browser or a colleague gives it, quotes and line ends included. `-` reads it from
 * standard input, where it needs no quotes around it.
 */
export function readCurl(command: string): CapturedRequest {
  const words = shellWords(command === '-' ? readText('-', 'curl') : command)
  const start = words.findIndex((word) => /(^|[\\/])curl(\.exe)?$/.test(word))
  if (start < 0 || !words.slice(0, start).every(isPrefix))
    throw new UsageError(
      '--curl takes a whole command in quotes, \'curl -H "Authorization: …" https://…\', or - for standard input',
    )
  const { values: parsed, positionals } = parseArgs({
    args: words.slice(start + 1),
    options: curlOptions,
    strict: false,
    allowPositionals: true,
  })
  const values: Values = new Map(
    Object.entries(parsed).map(([name, value]) => [name, [value ?? []].flat().map(String)]),
  )
  const url = values.get('url')?.[0] ?? positionals.find((text) => text.includes('://')) ?? positionals[0]
  if (url === undefined) throw new UsageError('the curl command has no URL')
  const fields = fieldsOf(values)
  refuseVariables(fields)
  return { method: methodOf(values), url: withQuery(withScheme(url), values), headers: groupFields(fields) }
}

/** Words before a pasted command: a prompt, an assignment, a program that runs another. */
function isPrefix(word: string): boolean {
  return /^([$#%>]|sudo|time|env|command|[A-Za-z_]\w*=.*)$/s.test(word)
}

function fieldsOf(values: Values): (readonly [name: string, value: string])[] {
  const written = values.get('header') ?? []
  if (written.some((text) => text.startsWith('@')))
    throw new UsageError('the curl command reads fields from a file (-H @FILE): write them into the command')
  // `Name;` is an empty field, and `Name:` is one that curl does not send.
  const fields = written.filter((text) => text.includes(':') && !/^[^:]*:\s*$/.test(text)).map(readField)
  const bearer = values.get('oauth2-bearer')?.at(-1)
  if (bearer !== undefined) fields.push(['authorization', `Bearer ${bearer}`])
  if (values.has('user')) fields.push(['authorization', 'Basic (left out)'])
  return fields
}

function refuseVariables(fields: readonly (readonly [name: string, value: string])[]): void {
  for (const [name, value] of fields) {
    const variable = /\$\{?\w+\}?|\$\(|%\w+%/.exec(value)?.[0]
    if (variable !== undefined && /^(authorization|dpop)$/i.test(name.trim()))
      throw new UsageError(
        `the field ${name.trim()} has the shell's ${variable} in it: quote the command so that the shell fills it in, as in --curl "curl -H 'Authorization: DPoP $TOKEN' …"`,
      )
  }
}

function methodOf(values: Values): string {
  const asked = values.get('request')?.at(-1)
  if (asked !== undefined) return asked
  if (values.has('head')) return 'HEAD'
  if (values.has('upload-file')) return 'PUT'
  return !values.has('get') && bodies.some((name) => values.has(name)) ? 'POST' : 'GET'
}

/** With -G, curl sends data in the query. A token there counts as a second one. */
function withQuery(url: string, values: Values): string {
  const data = values.has('get') ? bodies.flatMap((name) => values.get(name) ?? []) : []
  const query = [...data, ...(values.get('url-query') ?? [])].join('&')
  return query === '' ? url : `${url}${url.includes('?') ? '&' : '?'}${query}`
}

function withScheme(url: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(url) || url.startsWith('/') ? url : `http://${url}`
}
