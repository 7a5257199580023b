import { generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import vectors from '../../../../fixtures/vectors/agent-keys.json' with { type: 'json' }
import { type AgentClientOptions, createAgentClient } from '../../../../src/agent/index.js'
import { scalarInRange } from '../../../../src/agent/keys/derive.js'
import { agent, startServers } from '../../../support/agent/setup.js'

const options = {
  agent: agent(),
  tokenEndpoint: 'https://as.example.com/token',
  clientAuth: { method: 'none', clientId: 'app' },
} as const

const seed = new Uint8Array(32).fill(7)

describe('a key derived from a seed', () => {
  it.each(vectors.vectors)('$algorithm of $id', async ({ seed, id, algorithm, thumbprint }) => {
    const client = createAgentClient({
      ...options,
      agent: agent(id),
      seed: new Uint8Array(Buffer.from(seed, 'hex')),
      algorithm: algorithm as 'ES256' | 'Ed25519',
    })
    expect(await client.identity()).toEqual({ id, jkt: thumbprint })
  })

  it('may come from a Web Crypto key that cannot be read out', async () => {
    const base = await crypto.subtle.importKey('raw', seed, 'HKDF', false, ['deriveBits'])
    const fromKey = await createAgentClient({ ...options, seed: base }).identity()
    expect(fromKey).toEqual(await createAgentClient({ ...options, seed }).identity())
  })

  it('is derived from what the seed was at creation: the caller may wipe it', async () => {
    const wiped = Uint8Array.from(seed)
    const client = createAgentClient({ ...options, seed: wiped })
    wiped.fill(0)
    expect(await client.identity()).toEqual(await createAgentClient({ ...options, seed }).identity())
  })

  it.each(['ES256', 'Ed25519'] as const)(
    'signs proofs that an independent verifier takes: %s',
    async (algorithm) => {
      const { api, client, orders } = await startServers()
      const response = await client('planner', { seed, algorithm }).fetch(orders, { intent: { scope: 'a' } })
      expect(response.status, JSON.stringify(await response.json())).toBe(200)
      expect(api.accepted).toHaveLength(1)
    },
  )

  it('throws away a candidate that is no scalar, and takes the next', async () => {
    const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
    const below = Buffer.from(order)
    below[31] = 0x50
    const outputs = [order, Buffer.alloc(32, 0xff), Buffer.alloc(32), below]
    const counters: number[] = []
    const scalar = await scalarInRange(async (counter) => {
      counters.push(counter)
      return outputs[counter] ?? Buffer.alloc(32)
    })
    expect(counters).toEqual([0, 1, 2, 3])
    expect(scalar).toBe(below)
  })
})

describe('a key without a seed', () => {
  it('is random per client', async () => {
    const [one, two] = [createAgentClient(options), createAgentClient(options)]
    expect((await one.identity()).jkt).not.toBe((await two.identity()).jkt)
    expect(await one.identity()).toEqual(await one.identity())
  })

  it.each(['ES256', 'ES384', 'Ed25519', 'PS256'])('may be a pair of the caller: %s', async (alg) => {
    const keys = await generateKeyPair(alg)
    const { issuer, client, orders } = await startServers()
    issuer.behavior.answer = () => ({ status: 400, body: { error: 'stop' } })
    const seen = await client('planner', { keys })
      .fetch(orders, { intent: { scope: 'a' } })
      .catch((error) => error.error)
    // ES384 is outside what this server takes, which answers before it reads the form.
    expect(seen).toBe(alg === 'ES384' ? 'invalid_response' : 'stop')
  })
})

describe('a key is not accessible from outside', () => {
  it('refuses a private key that could be read out', async () => {
    const keys = await generateKeyPair('ES256', { extractable: true })
    expect(() => createAgentClient({ ...options, keys })).toThrow(/must not be extractable/)
  })

  it('holds no key, seed or secret in anything that it returns', async () => {
    const { client } = await startServers()
    const planner = client('planner', { seed })
    const run = planner.startWorkflow('refund')
    const found: unknown[] = []
    const visit = (value: unknown, depth: number) => {
      if (!(value instanceof Object) || depth > 4) return
      found.push(value)
      for (const name of Reflect.ownKeys(value)) visit(Reflect.get(value, name), depth + 1)
    }
    visit(planner, 0)
    visit(run, 0)
    await run.step('review', (step) => visit(step, 0))
    expect(found.length).toBeGreaterThan(10)
    for (const value of found) {
      expect(value).not.toHaveProperty('algorithm')
      expect(value).not.toBeInstanceOf(Uint8Array)
    }
    expect(Object.isFrozen(planner)).toBe(true)
  })

  it('lets no later change of the definition choose another key', async () => {
    const definition = agent('worker')
    const client = createAgentClient({ ...options, agent: definition, seed })
    const before = await client.identity()
    definition.id = 'planner'
    expect(await client.identity()).toEqual(before)
  })
})

describe('wrong options are refused when the client is made', () => {
  const wrong: [string, Partial<Record<keyof AgentClientOptions, unknown>>, RegExp][] = [
    ['a short seed', { seed: new Uint8Array(31) }, /at least 32 bytes/],
    ['a seed beside keys', { seed, keys: {} }, /exclude each other/],
    ['a seed that is text', { seed: 'x'.repeat(32) }, /seed/],
    ['an algorithm it does not know', { algorithm: 'HS256' }, /algorithm/],
    ['keys that are none', { keys: { privateKey: {}, publicKey: {} } }, /keys\.privateKey/],
    ['plain http', { tokenEndpoint: 'http://as.example.com/token' }, /tokenEndpoint must be an https URL/],
    ['a relative token endpoint', { tokenEndpoint: '/token' }, /tokenEndpoint must be an absolute URL/],
    ['credentials in a URL', { tokenEndpoint: 'https://a:b@as.example.com/' }, /must not contain a user/],
    [
      'a client authentication it does not know',
      { clientAuth: { method: 'tls', clientId: 'x' } },
      /clientAuth/,
    ],
    ['no client id', { clientAuth: { method: 'none' } }, /clientAuth\.clientId/],
    [
      'an empty secret',
      { clientAuth: { method: 'client_secret_post', clientId: 'x', clientSecret: '' } },
      /Secret/,
    ],
    ['an ill-formed checksum', { checksum: 'abc' }, /checksum/],
    ['a broken agent', { agent: { ...agent(), prompt: 1 } }, /agent\.prompt/],
    ['no room for a token', { maxTokens: 0 }, /maxTokens/],
    ['a timeout of nothing', { timeout: 0 }, /timeout/],
    ['a blank in the resource', { resource: 'a b' }, /resource/],
  ]
  it.each(wrong)('%s', (_, change, message) => {
    expect(() => createAgentClient({ ...options, ...change } as AgentClientOptions)).toThrow(message)
    expect(() => createAgentClient({ ...options, ...change } as AgentClientOptions)).toThrow(TypeError)
  })

  it('an HKDF key of another kind', async () => {
    const aes = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt'])
    expect(() => createAgentClient({ ...options, seed: aes })).toThrow(/seed/)
  })

  it('a public key that cannot be sent: an error at the first use, not an unhandled rejection', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const raw = await crypto.subtle.exportKey('raw', publicKey)
    const ec = { name: 'ECDSA', namedCurve: 'P-256' }
    const hidden = await crypto.subtle.importKey('raw', raw, ec, false, ['verify'])
    const client = createAgentClient({ ...options, keys: { privateKey, publicKey: hidden } })
    await new Promise((resolve) => setTimeout(resolve, 20))
    await expect(client.identity()).rejects.toThrow(TypeError)
  })
})
