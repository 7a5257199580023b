import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ajwt } from '../../../middleware/hono.js'
import { type Policy, PolicyError, type Verifier, watchPolicy } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer()

function policyWith(scope: string): Policy {
  return { issuer: issuer.policyIssuer, audience: issuer.audience, routes: { 'GET /orders': { scope } } }
}

const textOf = (scope: string) => JSON.stringify(policyWith(scope))

/** The outcome of a request whose token has this scope. */
async function outcomeOf(verifier: Verifier, scope: string): Promise<string> {
  const url = '/orders'
  const decision = await verifier.verify({
    method: 'GET',
    url,
    headers: { ...issuer.headers({ url, scope }) },
  })
  return decision.outcome === 'deny' ? decision.code : decision.outcome
}

class Reader extends MetricReader {
  protected override async onForceFlush() {}
  protected override async onShutdown() {}
}

let folder = ''
let file = ''
const open: Verifier[] = []
const lines: string[] = []
/** Denials are logged as well. */
const log = { warn: (line: string) => void (/^ajwt deny /.test(line) || lines.push(line)) }

function watch(options: Parameters<typeof watchPolicy>[1] = {}): Verifier {
  const verifier = watchPolicy(file, { log, interval: 0.05, ...options })
  open.push(verifier)
  return verifier
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ajwt-watch-'))
  file = join(folder, 'policy.json')
  writeFileSync(file, textOf('old'))
})

afterEach(() => {
  for (const verifier of open.splice(0)) verifier.close()
  lines.length = 0
  rmSync(folder, { recursive: true, force: true })
})

const becomes = (verifier: Verifier, scope: string) =>
  vi.waitFor(async () => expect(await outcomeOf(verifier, scope)).toBe('allow'), {
    timeout: 10_000,
    interval: 20,
  })

const isLogged = (pattern: RegExp) =>
  vi.waitFor(() => expect(lines.at(-1)).toMatch(pattern), { timeout: 10_000, interval: 20 })

/** Long enough for a change to be applied, for tests in which none may be. */
const pause = (milliseconds = 500) => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe('a change of the file becomes the policy', () => {
  test.for<[how: string, write: (text: string) => void]>([
    ['written in place', (text) => writeFileSync(file, text)],
    [
      'replaced by a renamed file, as editors do',
      (text) => {
        writeFileSync(`${file}.tmp`, text)
        renameSync(file, `${file}~`)
        renameSync(`${file}.tmp`, file)
      },
    ],
    [
      'deleted and written again',
      (text) => {
        rmSync(file)
        writeFileSync(file, text)
      },
    ],
  ])('%s', async ([, write]) => {
    const verifier = watch()
    expect(await outcomeOf(verifier, 'old')).toBe('allow')
    for (const scope of ['new', 'newer']) {
      write(textOf(scope))
      await becomes(verifier, scope)
      expect(await outcomeOf(verifier, 'old')).toBe('scope_insufficient')
    }
    expect(verifier.policy.routes).toEqual({ 'GET /orders': { scope: 'newer' } })
    expect(lines).toEqual([])
  })

  test('a Kubernetes ConfigMap: the link ..data is swapped', async () => {
    const data = (name: string) => join(folder, 'config', name)
    const put = (version: string, scope: string) => {
      mkdirSync(data(version), { recursive: true })
      writeFileSync(join(data(version), 'policy.json'), textOf(scope))
      symlinkSync(version, data('..data_tmp'))
      renameSync(data('..data_tmp'), data('..data'))
    }
    put('..2026_1', 'old')
    symlinkSync('..data/policy.json', data('policy.json'))
    file = data('policy.json')
    const verifier = watch()
    put('..2026_2', 'new')
    rmSync(data('..2026_1'), { recursive: true })
    await becomes(verifier, 'new')
    put('..2026_3', 'newer')
    await becomes(verifier, 'newer')
    expect(lines).toEqual([])
  })

  test('a link to a file in another folder, which reports no event here', async () => {
    mkdirSync(join(folder, 'links'))
    symlinkSync(file, join(folder, 'links', 'policy.json'))
    const target = file
    file = join(folder, 'links', 'policy.json')
    const verifier = watch()
    writeFileSync(target, textOf('new'))
    await becomes(verifier, 'new')
  })

  test('a file URL', async () => {
    const verifier = watchPolicy(pathToFileURL(file), { log, interval: 0.05 })
    open.push(verifier)
    writeFileSync(file, textOf('new'))
    await becomes(verifier, 'new')
  })

  test('of the same size, with the time of the old one', async () => {
    const verifier = watch()
    const time = new Date(1_700_000_000_000)
    utimesSync(file, time, time)
    await pause()
    writeFileSync(file, textOf('nww'))
    utimesSync(file, time, time)
    await becomes(verifier, 'nww')
  })

  test('the middleware that has the verifier applies it', async () => {
    const { Hono } = await import('hono')
    const app = new Hono().use(ajwt(watch())).get('/orders', (c) => c.text('orders'))
    const get = async (scope: string) =>
      (await app.request('/orders', { headers: { ...issuer.headers({ url: '/orders', scope }) } })).status
    expect(await get('old')).toBe(200)
    writeFileSync(file, textOf('new'))
    await vi.waitFor(async () => expect(await get('new')).toBe(200), { timeout: 10_000 })
    expect(await get('old')).toBe(403)
  })
})

describe('the old policy is kept', () => {
  const isKept = async (verifier: Verifier) => {
    expect(await outcomeOf(verifier, 'old')).toBe('allow')
    expect(verifier.policy.routes).toEqual({ 'GET /orders': { scope: 'old' } })
  }

  test('where the new one is wrong, and the line says where', async () => {
    const verifier = watch()
    writeFileSync(file, JSON.stringify({ ...policyWith('old'), unmatchd: 'deny' }, null, 2))
    await isLogged(
      /^ajwt policy kept: the new one is wrong file=".*policy\.json" reason=".*policy\.json:\d+:\d+: unmatchd/,
    )
    await isKept(verifier)
    writeFileSync(file, textOf('new'))
    await becomes(verifier, 'new')
    expect(lines).toHaveLength(1)
  })

  test.for([
    ['is empty', ''],
    ['is cut', textOf('new').slice(0, -9)],
    ['is no object', '[]'],
    ['has a member twice', `{"routes": {}, ${textOf('new').slice(1)}`],
    ['is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['needs an option that is missing', textOf('new').replace('{"scope"', '{"authorize":true,"scope"')],
  ])('where the new one %s', async ([, text = '']) => {
    const verifier = watch()
    writeFileSync(file, text)
    await isLogged(/^ajwt policy kept: the new one is wrong/)
    await isKept(verifier)
    expect(lines.join()).not.toContain('\n')
  })

  test('where the file is gone, until it is back', async () => {
    const verifier = watch()
    rmSync(file)
    await isLogged(/^ajwt policy kept: the file cannot be read file=.* reason="ENOENT/)
    await isKept(verifier)
    await pause()
    expect(lines).toHaveLength(1)
    writeFileSync(file, textOf('new'))
    await becomes(verifier, 'new')
  })

  test('where the file is a folder or a pipe', async () => {
    const verifier = watch()
    rmSync(file)
    execFileSync('mkfifo', [file])
    await isLogged(/^ajwt policy kept: the file cannot be read .* reason="it is no regular file"$/)
    rmSync(file)
    mkdirSync(file)
    await vi.waitFor(() => expect(lines.length).toBeGreaterThan(1), { timeout: 10_000 })
    await isKept(verifier)
    rmSync(file, { recursive: true })
    writeFileSync(file, textOf('new'))
    await becomes(verifier, 'new')
  })

  test('while the file is written in parts', async () => {
    const verifier = watch()
    const text = `${' '.repeat(1000)}${textOf('new')}`
    const handle = openSync(file, 'w')
    for (let at = 0; at < text.length; at += 100) {
      writeSync(handle, text.slice(at, at + 100))
      await pause(15)
      await isKept(verifier)
    }
    closeSync(handle)
    await becomes(verifier, 'new')
    // A part of a policy was never taken for a policy.
    expect(lines).toEqual([])
  })

  test('where the verifier is closed', async () => {
    const verifier = watch()
    writeFileSync(file, textOf('new'))
    verifier.close()
    await pause()
    expect(verifier.policy.routes).toEqual({ 'GET /orders': { scope: 'old' } })
    writeFileSync(file, '{')
    await pause()
    expect(lines).toEqual([])
  })

  test('where the content is the same', async () => {
    const verifier = watch()
    const { policy } = verifier
    writeFileSync(file, readFileSync(file))
    await pause()
    expect(verifier.policy).toBe(policy)
  })
})

test('every update is counted, and every wrong policy', async () => {
  const reader = new Reader()
  const verifier = watch({ meterProvider: new MeterProvider({ readers: [reader] }) })
  const counts = async () => {
    const { resourceMetrics } = await reader.collect()
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
    const updates = metrics.find(({ descriptor }) => descriptor.name === 'ajwt.policy.updates')
    return Object.fromEntries(
      (updates?.dataPoints ?? []).map(({ attributes, value }) => [attributes['ajwt.outcome'], value]),
    )
  }
  writeFileSync(file, textOf('new'))
  await becomes(verifier, 'new')
  expect(await counts()).toEqual({ success: 1 })
  writeFileSync(file, '{')
  await isLogged(/wrong/)
  writeFileSync(file, '{"issuer": 1}')
  await isLogged(/issuer/)
  rmSync(file)
  await isLogged(/ENOENT/)
  expect(await counts()).toEqual({ success: 1, failure: 3 })
  verifier.update(policyWith('third'))
  expect(() => verifier.update({} as Policy)).toThrow(PolicyError)
  expect(await counts()).toEqual({ success: 2, failure: 4 })
})

test('without the option log it is a process warning', async () => {
  const warnings: (string | undefined)[] = []
  const listener = (warning: Error & { code?: string }) => void warnings.push(warning.code)
  process.on('warning', listener)
  const verifier = watchPolicy(file, { interval: 0.05 })
  open.push(verifier)
  writeFileSync(file, '{')
  await vi.waitFor(() => expect(warnings).toContain('AJWT_POLICY_KEPT'), { timeout: 10_000 })
  process.off('warning', listener)
})

test('a logger that fails does not end the watch', async () => {
  const warn = vi.fn(() => {
    throw new Error('no space left')
  })
  const verifier = watch({ log: { warn } })
  writeFileSync(file, '{')
  await vi.waitFor(() => expect(warn).toHaveBeenCalled(), { timeout: 10_000 })
  writeFileSync(file, textOf('new'))
  await becomes(verifier, 'new')
})

test('requests that run while the policy changes are decided by one of the two', async () => {
  const verifier = watch()
  const outcomes = new Set<string>()
  writeFileSync(file, textOf('new'))
  for (let round = 0; round < 1000 && verifier.policy.routes['GET /orders'] !== undefined; round++) {
    const isNew = JSON.stringify(verifier.policy.routes).includes('new')
    outcomes.add(await outcomeOf(verifier, 'old new'))
    if (isNew) break
    await pause(1)
  }
  expect([...outcomes]).toEqual(['allow'])
})

test('a first policy that is wrong, a missing file and a wrong interval throw', () => {
  writeFileSync(file, '{')
  expect(() => watch()).toThrow(PolicyError)
  rmSync(file)
  expect(() => watch()).toThrow(/ENOENT/)
  for (const interval of [0, -1, Number.NaN, 1e9, '1' as never]) {
    expect(() => watch({ interval })).toThrow(/options\.interval: must be 0\.05 to 3600 seconds/)
  }
})
