import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

// Requests as browsers, colleagues and exporters hand them over.

let command: BuiltCommand
let base: string[]
beforeAll(() => {
  command = buildCommand()
  base = ['explain', '--policy', command.write('policy.json', policy)]
}, 60_000)
afterAll(() => command.remove())

const policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'POST /orders': { scope: 'orders:read' } },
}
const kit = createKit()
const time = new Date(kit.now).toISOString()

function fieldsOf(method = 'GET', path = '/orders/42') {
  const { headers } = kit.call({ method, path })
  const of = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? ''
  return { authorization: of('authorization'), dpop: of('dpop') }
}
const get = fieldsOf()
const post = fieldsOf('POST', '/orders')
const head = fieldsOf('HEAD')
const url = `${AUDIENCE}/orders/42`
const fields = `-H 'Authorization: ${get.authorization}' -H 'DPoP: ${get.dpop}'`

async function explain(...flags: string[]) {
  const { status, stdout, stderr } = await command.run([...base, ...flags])
  return { status, stderr, title: stdout.split('\n', 1)[0], text: stdout.replaceAll(/\s+/g, ' ') }
}

describe('a curl command', () => {
  it.each([
    [
      'Chrome, for bash',
      `curl '${url}' \\\n  -H 'accept: */*' \\\n  -H 'authorization: ${get.authorization}' \\\n  -H 'dpop: ${get.dpop}' \\\n  -b 'sid=1' \\\n  -H 'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"'`,
    ],
    [
      'Chrome, for bash, with a body',
      `curl '${AUDIENCE}/orders' \\\n  -H 'authorization: ${post.authorization}' \\\n  -H 'dpop: ${post.dpop}' \\\n  --data-raw $'{"a":"it\\'s \\u0021\\n"}'`,
    ],
    [
      'Chrome, for cmd',
      `curl ^"${url}?q=^%^20^&z=1^" ^\r\n  -H ^"accept: */*^" ^\r\n  -H ^"authorization: ${get.authorization}^" ^\r\n  -H ^"dpop: ${get.dpop}^" ^\r\n  -H ^"sec-ch-ua: ^\\^"Chromium^\\^";v=^\\^"130^\\^"^"`,
    ],
    [
      'Chrome, for cmd, with a body of two lines',
      `curl ^"${AUDIENCE}/orders^" ^\n  -H ^"authorization: ${post.authorization}^" ^\n  -H ^"dpop: ${post.dpop}^" ^\n  --data-raw ^"^{^\\^"a^\\^":^\n\n1^}^"`,
    ],
    [
      'Chrome, for cmd, as it was until 2023',
      `curl "${url}" ^\n  -H "authorization: ${get.authorization}" ^\n  -H "dpop: ${get.dpop}" ^\n  --compressed`,
    ],
    ['Firefox', `curl '${url}' --compressed -H 'User-Agent: Mozilla/5.0' ${fields} -H 'TE: trailers'`],
    [
      'Firefox, with a body',
      `curl '${AUDIENCE}/orders' --compressed -X POST -H 'Authorization: ${post.authorization}' -H 'DPoP: ${post.dpop}' --data-raw $'{"t":"caf\\xe9 \\'x\\'"}'`,
    ],
    ['Safari', `curl '${url}' \\\n-X 'GET' \\\n${fields}`],
    ['--url, and a pipe', `curl -sS --url ${url} ${fields} | jq -H .`],
    ['the URL last, and a redirection', `curl -sSi -XGET ${fields} ${url} > out.json 2>&1`],
    ['a prompt', `$ curl ${fields} ${url}`],
    ['an assignment in front', `A=1 sudo /usr/bin/curl ${fields} ${url}`],
    ['an option with a value', `curl --unix-socket /tmp/x --max-redirs 3 --noproxy x ${fields} ${url}`],
    ['an option that is not known', `curl --new-option value ${fields} ${url}`],
    ['line ends of Windows', `curl \\\r\n ${fields} \\\r\n ${url}\r\n`],
    ['no scheme in the URL', `curl ${fields} orders.example.com/orders/42`],
    ['a field that is not sent', `curl -H 'Authorization:' ${fields} -H 'X-Empty;' ${url}`],
    [
      'JSON',
      `curl --json '{}' -H 'Authorization: ${post.authorization}' -H 'DPoP: ${post.dpop}' ${AUDIENCE}/orders`,
    ],
    ['-I', `curl -I -H 'Authorization: ${head.authorization}' -H 'DPoP: ${head.dpop}' ${url}`],
  ])('%s', async (_, text) => {
    expect(await explain('--curl', text, '--at', time)).toMatchObject({ title: 'ALLOWED', stderr: '' })
  })

  it('may come from standard input, without quotes around it', async () => {
    const args = [...base, '--curl', '-', '--at', time]
    const { status, stdout } = await command.spawn(args, { input: `curl '${url}' ${fields}\n` })
    expect([status, stdout.split('\n', 1)[0]]).toEqual([0, 'ALLOWED'])
  })

  it('sends data in the query with -G, where a token is a second one', async () => {
    const { title } = await explain('--curl', `curl -G -d access_token=x ${fields} ${url}`, '--at', time)
    expect(title).toBe('DENIED 400 credentials_ambiguous')
  })

  it.each([
    [`curl -H @fields.txt ${url}`, 'reads fields from a file (-H @FILE)'],
    [`curl '${url}`, 'cannot be read'],
    [`curl ^"${url} ^\n`, 'a quotation mark is not closed'],
    [`echo curl ${url}`, '--curl takes a whole command in quotes'],
    ['Invoke-WebRequest -Uri "https://x"', '--curl takes a whole command in quotes'],
    [`curl ^"${url}^" -H ^"Authorization: DPoP %TOKEN%^"`, "the shell's %TOKEN%"],
    [`curl -H 'Authorization: DPoP ***' ${url}`, 'in place of the field authorization'],
    ['curl -s', 'has no URL'],
  ])('is refused: %s', async (text, message) => {
    const { status, stderr } = await explain('--curl', text)
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
  })
})

const namesOf = (all: Readonly<Record<string, string>>) =>
  Object.entries(all).map(([name, value]) => ({ name, value }))
const entry = (status: number, headers: Record<string, string>, to = url, method = 'GET') => ({
  startedDateTime: time,
  request: { method, url: to, httpVersion: 'h2', headers: namesOf(headers), cookies: [], queryString: [] },
  response: { status },
})
const har = (...entries: object[]) => ({ log: { version: '1.2', creator: { name: 'test' }, entries } })

describe('a HAR file', () => {
  const named = { ':authority': 'orders.example.com', ':method': 'GET', ...get }
  it.each([
    [
      'of Chrome, a CORS preflight in front',
      har(
        entry(200, {}, `${AUDIENCE}/app.js`),
        entry(401, { origin: 'x' }, url, 'OPTIONS'),
        entry(401, named),
      ),
    ],
    [
      'of Firefox',
      har(entry(403, { Host: 'orders.example.com', Authorization: get.authorization, DPoP: get.dpop })),
    ],
    ['whose answer CORS has hidden', har(entry(200, {}, `${AUDIENCE}/app.js`), entry(0, named))],
    ['with the handshake of a WebSocket', har(entry(101, named, url.replace('https', 'wss')))],
    [
      'with a time zone',
      har({
        ...entry(401, named),
        startedDateTime: new Date(kit.now + 7_200_000).toISOString().replace('Z', '+02:00'),
      }),
    ],
  ])('%s', async (_, file) => {
    expect((await explain('--har', command.write('a.har', file))).title).toBe('ALLOWED')
  })

  it('may have a byte order mark, or be UTF-16', async () => {
    const text = `\ufeff${JSON.stringify(har(entry(401, named)))}`
    expect((await explain('--har', command.write('b.har', text))).title).toBe('ALLOWED')
    writeFileSync(`${command.folder}/c.har`, Buffer.from(text, 'utf16le'))
    expect((await explain('--har', 'c.har')).title).toBe('ALLOWED')
  })

  it('says which entry it is, and where the credentials went', async () => {
    const file = command.write('d.har', har(entry(200, {}), entry(401, { accept: '*/*' })))
    const { title, text } = await explain('--har', file)
    expect(title).toBe('DENIED 401 credentials_missing')
    expect(text).toMatch(/ entry 2 of 2 in \S*d\.har /)
    expect(text).toContain('Chrome: allow "HAR with sensitive data"')
    const other = await explain('--har', file, '--entry', '3')
    expect([other.status, other.stderr]).toEqual([
      2,
      expect.stringContaining('has 2 requests: there is no --entry 3'),
    ])
  })
})

const text = (stringValue: string) => ({ stringValue })
const list = (value: string) => ({ arrayValue: { values: [text(value)] } })
const pairs = (attributes: Record<string, object>) =>
  Object.entries(attributes).map(([key, value]) => ({ key, value }))
const span = (attributes: Record<string, object>) => ({
  traceId: '5b8efff798038103d269b633813fc60c',
  spanId: 'eee19b7ec3c1b174',
  name: 'GET /orders/:id',
  kind: 2,
  startTimeUnixNano: `${kit.now}000000`,
  attributes: pairs({
    'http.request.method': text('GET'),
    'url.path': text('/orders/42'),
    'url.scheme': text('https'),
    'http.response.status_code': { intValue: '401' },
    ...attributes,
  }),
})
const export1 = (...spans: object[]) => ({ resourceSpans: [{ scopeSpans: [{ scope: {}, spans }] }] })
const lists = {
  'http.request.header.authorization': list(get.authorization),
  'http.request.header.dpop': list(get.dpop),
}
const texts = (write: (value: string) => string) => ({
  'http.request.header.authorization': text(write(get.authorization)),
  'http.request.header.dpop': text(write(get.dpop)),
})

describe('spans', () => {
  it.each([
    ['with lists', export1(span(lists))],
    ['with texts', export1(span(texts((value) => value)))],
    ['with lists that were made texts', export1(span(texts((value) => JSON.stringify([value]))))],
    ['of Grafana Tempo', { batches: export1(span(lists)).resourceSpans }],
    [
      'of the first version of OTLP',
      { resourceSpans: [{ instrumentationLibrarySpans: [{ spans: [span(lists)] }] }] },
    ],
    [
      'with the attributes of 2022',
      export1({
        ...span(lists),
        attributes: pairs({
          'http.method': text('GET'),
          'http.target': text('/orders/42?x=1'),
          'http.status_code': { intValue: 401 },
          ...lists,
        }),
      }),
    ],
    [
      'with attributes as an object',
      export1({
        ...span({}),
        attributes: {
          'http.request.method': 'GET',
          'url.path': '/orders/42',
          'http.request.header.authorization': [get.authorization],
          'http.request.header.dpop': [get.dpop],
        },
      }),
    ],
  ])('%s', async (_, content) => {
    expect((await explain('--otlp', command.write('spans.json', content))).title).toBe('ALLOWED')
  })

  it('are refused where the exporter has hidden the credentials', async () => {
    const hidden = export1(span({ 'http.request.header.authorization': list('[REDACTED]') }))
    const { status, stderr } = await explain('--otlp', command.write('spans.json', hidden))
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('has "[REDACTED]" in place of the field authorization'),
    ])
  })

  it('without authorization say how to capture it', async () => {
    const other = export1(span({ 'http.request.header.accept': list('*/*') }))
    const { title, text: told } = await explain('--otlp', command.write('spans.json', other))
    expect(title).toBe('DENIED 401 credentials_missing')
    expect(told).toContain('captured other fields, and not authorization')
  })
})

describe('a request of the past', () => {
  it('is explained as of now, with the time to ask for', async () => {
    const iat = 1_000_000_000
    const old = kit.call({ token: { claims: { iat, exp: iat + 60 } }, proof: { claims: { iat } } })
    const [[, token] = [], [, proof] = []] = old.headers
    const flags = ['--url', url, '--token', `${token}`, '--proof', `${proof}`]
    const now = await explain(...flags)
    expect(now.title).toBe('DENIED 401 token_expired')
    expect(now.text).toContain('--at 2001-09-09T01:46:40.000Z shows the verdict at that time')
    const then = await explain(...flags, '--at', '2001-09-09T01:46:40.000Z')
    expect(then.title).toBe('ALLOWED')
    const later = await explain(...flags, '--at', '2001-09-09T03:46:40Z')
    expect(later.title).toBe('DENIED 401 token_expired')
    expect(later.text).not.toContain('--at')
  })
})

describe('files', () => {
  it.each([
    ['--har', 256, 'MiB', ['--entry', '1']],
    ['--otlp', 256, 'MiB', []],
    ['--jwks', 256, 'KiB', ['--url', url]],
  ])(
    '%s is read up to %i %s',
    async (option, size, unit, more) => {
      const { status, stderr } = await explain(option, '/dev/zero', ...more)
      expect([status, stderr]).toEqual([
        2,
        `ajwt: /dev/zero has more than ${size} ${unit}: is it the right file?\n`,
      ])
    },
    30_000,
  )

  it.each([
    [['curl', '--policy', 'policy.json', '--url', '/orders/42', '--key', '/dev/zero'], '64 KiB'],
    [['check', '/dev/zero'], '16 MiB'],
    [['check', 'policy.json', '--openapi', '/dev/zero'], '16 MiB'],
    [['checksum', '/dev/zero'], '16 MiB'],
  ])('%j is read up to a limit', async (args, limit) => {
    const { status, stderr } = await command.run(args)
    expect([status, stderr]).toEqual([2, expect.stringContaining(`/dev/zero has more than ${limit}`)])
  })

  it('names a folder', async () => {
    const { status, stderr } = await explain('--har', '.')
    expect([status, stderr]).toEqual([2, 'ajwt: . is a folder, not a file\n'])
  })
})
