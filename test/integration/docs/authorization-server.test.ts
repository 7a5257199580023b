import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { decodeJwt } from 'jose'
import type { Adapter, AdapterPayload, Provider } from 'oidc-provider'
import { createClient } from 'redis'
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import '../../../fixtures/authorization-server/quiet.js'
import { generateSigningKey } from '../../../fixtures/authorization-server/signing-key.js'
import { createAgentClient, defineAgent, intentHash } from '../../../src/agent/index.js'
import { type MemoryRegistry, memoryRegistry, type Registry } from '../../../src/oidc-provider/index.js'
import { hasRedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'

// The code of the documentation, run as it stands there.

const root = fileURLToPath(new URL('../../..', import.meta.url))
const text = readFileSync(join(root, 'docs/authorization-server.md'), 'utf8')
const folder = mkdtempSync(join(root, 'node_modules', '.docs-'))
afterAll(() => rmSync(folder, { recursive: true }))

const code = [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, block]) => block as string)
const load = async <T>(name: string): Promise<T> => {
  const [block, ...others] = code.filter((one) => one.includes(`function ${name}(`))
  expect([block === undefined, others]).toEqual([false, []])
  const source = (block as string).replaceAll(
    /from 'ajwt\/(agent|oidc-provider)'/g,
    (_, entry) => `from '${pathToFileURL(root)}src/${entry}/index.ts'`,
  )
  const file = join(folder, `${name}.ts`)
  writeFileSync(file, source)
  return ((await import(/* @vite-ignore */ file)) as Record<string, T>)[name] as T
}

const API = 'https://orders.example.com'
const bot = defineAgent({ id: 'orders-bot', prompt: 'You refund orders.', tools: [] })
const { privateJwk } = await generateSigningKey('as-1')

type Start = (options: object) => Promise<Provider>

/** One process of the documented server, and how its agent reaches it. */
async function start(options: { registry: Registry; adapter?: unknown }) {
  const http = createServer()
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done))
  onTestFinished(() => void http.close())
  const issuer = `http://127.0.0.1:${(http.address() as { port: number }).port}`
  const authorizationServer = await load<Start>('authorizationServer')
  const provider = await authorizationServer({
    issuer,
    jwks: { keys: [privateJwk] },
    nonceSecret: Buffer.alloc(32, 1),
    cookieKey: 'only for this test',
    clients: [
      {
        client_id: 'orders-bot',
        client_secret: 'open sesame',
        grant_types: ['urn:ietf:params:oauth:grant-type:agent_checksum'],
        response_types: [],
        redirect_uris: [],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    ...options,
  })
  http.on('request', provider.callback())
  const client = createAgentClient({
    agent: bot,
    tokenEndpoint: `${issuer}/token`,
    clientAuth: { method: 'client_secret_basic', clientId: 'orders-bot', clientSecret: 'open sesame' },
    resource: API,
    // The API answers with the claims of the token that it is sent.
    fetch: async (url, init) => {
      if (url.startsWith(issuer)) return fetch(url, init)
      return Response.json(decodeJwt(new Headers(init.headers).get('authorization')?.slice(5) ?? ''))
    },
  })
  const claims = async (answer: Promise<Response>) => (await (await answer).json()) as Record<string, unknown>
  return { client, claims }
}

const session = { accountId: 'user:alice', acr: 'phr', amr: ['hwk'], authTime: 7 }
const look = { intent: { scope: 'orders:read' } }
const issue = { intent: { scope: 'orders:refund', once: true } }

describe('the documented authorization server', () => {
  it('deploys a version, records an approval, and gives one token for it', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    onTestFinished(() => warn.mockRestore())
    const registry = memoryRegistry()
    const deploy = await load<(...args: unknown[]) => Promise<void>>('deploy')
    const recordApproval = await load<(...args: unknown[]) => Promise<void>>('recordApproval')
    let during: number | undefined
    const old = { ...bot, prompt: 'You are older.' }
    await deploy(registry, old, async () => {})
    await deploy(registry, { ...bot }, async () => {
      during = registry.registrations('orders-bot').length
    })
    expect([during, registry.registrations('orders-bot').length]).toEqual([2, 1])

    const { client, claims } = await start({ registry })
    const request = 'Refund order 17 (28 November, 11:02)'
    await recordApproval(registry, session, request, '17')
    const run = client.startWorkflow('refund', { hash: await intentHash(request) })
    await run.step('look', (step) => step.fetch(API, look))
    const token = await run.step('issue', (step) => claims(step.fetch(API, issue)))
    expect(token).toMatchObject({
      acr: 'phr',
      authorization_details: [{ type: 'refund', order: '17' }],
      intent: { initiated_by: 'user:alice', initiator_type: 'user', run_id: run.runId },
    })
    const again = client.startWorkflow('refund', { hash: await intentHash(request) })
    await again.step('look', (step) => step.fetch(API, look))
    await expect(again.step('issue', (step) => step.fetch(API, issue))).rejects.toThrow('invalid_grant')
    expect(warn.mock.calls.flat().join()).toContain('approval_missing')
  })

  it.runIf(hasRedisServer)(`runs as a fleet on one Redis${WITHOUT_REDIS}`, async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const server = await startRedis()
    const redis = await createClient({ url: `redis://127.0.0.1:${server.port}` }).connect()
    onTestFinished(async () => {
      warn.mockRestore()
      redis.destroy()
      await server.stop()
    })
    const adapter = (model: string): Partial<Adapter> => ({
      find: async (id) => JSON.parse((await redis.get(`${model}:${id}`)) ?? 'null') as AdapterPayload,
      upsert: async (id, payload, expiresIn = 60) => {
        await redis.set(`${model}:${id}`, JSON.stringify(payload), { EX: expiresIn })
      },
      destroy: async (id) => void (await redis.del(`${model}:${id}`)),
    })
    type Tools = Registry &
      Pick<MemoryRegistry, 'register' | 'approve'> & {
        permit(clientId: string, agentId: string): Promise<unknown>
        retire(agentId: string, registrationId: string): Promise<void>
      }
    const redisRegistry = await load<(client: unknown) => Tools>('redisRegistry')
    // Each process has a registry object of its own.
    const [one, two] = [redisRegistry(redis), redisRegistry(redis)]
    const first = await start({ registry: one, adapter })
    const second = await start({ registry: two, adapter })
    const { agentChecksum } = await import('../../../src/agent/index.js')
    const registration = {
      definition: bot,
      checksum: await agentChecksum(bot),
      scopes: ['orders:read', 'orders:refund'],
    }
    const { registrationId } = await one.register(registration)
    await one.permit('orders-bot', 'orders-bot')
    const hash = await intentHash('Refund order 18')
    const approval = { user: 'user:alice', intentHash: hash, agentId: 'orders-bot', acr: 'phr', amr: [] }
    await one.approve({ ...approval, authTime: 7 })
    await expect(two.register({ ...registration, definition: { ...bot, id: 'user:alice' } })).rejects.toThrow(
      'person',
    )

    // A run that begins at one process goes on at the other.
    const begun = first.client.startWorkflow('refund', { hash })
    await begun.step('look', (step) => step.fetch(API, look))
    const { runId = '' } = begun
    const resumed = { hash, runId, completedSteps: ['look'] }
    const goOn = (at: typeof first) =>
      at.client.startWorkflow('refund', resumed).step('issue', (step) => at.claims(step.fetch(API, issue)))
    const answers = await Promise.allSettled([goOn(first), goOn(second)])
    const given = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    expect(given).toHaveLength(1)
    expect(given[0]).toMatchObject({ acr: 'phr', intent: { run_id: runId, initiated_by: 'user:alice' } })

    await two.retire('orders-bot', registrationId)
    await expect(
      first.client.startWorkflow('refund').step('look', (step) => step.fetch(API, look)),
    ).rejects.toThrow('invalid_grant')
    expect(warn.mock.calls.flat().join()).toContain('agent_unknown')
  })
})

describe('its tables', () => {
  const cells = (heading: string) =>
    [...(text.split(`\n| ${heading} |`)[1]?.split('\n\n')[0] ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(
      ([, name]) => name,
    )
  const source = (file: string) => readFileSync(join(root, 'src/oidc-provider', file), 'utf8')
  const quoted = (part: string | undefined) => [...(part ?? '').matchAll(/'(\w+)'/g)].map(([, name]) => name)

  it('name every parameter, every reason of a refusal, and every option', () => {
    expect(cells('parameter').sort()).toEqual(
      quoted(source('grant.ts').split('const PARAMETERS = [')[1]?.split(']')[0]).sort(),
    )
    expect(cells('reason').sort()).toEqual(
      quoted(source('refusal.ts').split('export type RefusalReason =')[1]?.split('\n\n')[0]).sort(),
    )
    const options =
      source('grant.ts').split('interface AgentChecksumGrantOptions {')[1]?.split('\n}')[0] ?? ''
    expect(cells('option').sort()).toEqual(
      [...options.matchAll(/^ {2}readonly (\w+)/gm)].map(([, name]) => name).sort(),
    )
  })
})
