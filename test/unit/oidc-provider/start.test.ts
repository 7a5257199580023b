import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Provider } from 'oidc-provider'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { generateSigningKey } from '../../../fixtures/authorization-server/signing-key.js'
import { agentChecksumGrant, intentClaims, memoryRegistry } from '../../../src/oidc-provider/index.js'
import '../../../fixtures/authorization-server/quiet.js'

const { privateJwk } = await generateSigningKey('as-1')
const API = 'https://orders.example.com'
const jwt = { scope: 'orders:read', accessTokenFormat: 'jwt' }

/** A provider as its operator configures it. */
const providerWith = (features: object, Class = Provider) =>
  new Class('https://auth.example.com', {
    jwks: { keys: [privateJwk as never] },
    cookies: { keys: ['only for this test'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    extraTokenClaims: intentClaims,
    features: { devInteractions: { enabled: false }, ...features },
  } as never)
const indicators = (getResourceServerInfo: unknown) => ({
  dPoP: { enabled: true },
  resourceIndicators: { enabled: true, getResourceServerInfo },
})
const start = (provider: unknown, options: object = {}) =>
  agentChecksumGrant(provider as Provider, { registry: memoryRegistry(), resources: [API], ...options })

describe('agentChecksumGrant at start', () => {
  it('is content with a provider that can serve it', async () => {
    await start(providerWith(indicators(() => jwt)))
  })

  it.each<[string, object, string]>([
    [
      'without resource indicators',
      { resourceIndicators: { enabled: false } },
      'features.resourceIndicators must be',
    ],
    ['without dPoP', { ...indicators(() => jwt), dPoP: { enabled: false } }, 'features.dPoP must be enabled'],
    [
      'whose access tokens are opaque',
      indicators(() => ({ scope: 'orders:read' })),
      `getResourceServerInfo must give ${API} the accessTokenFormat 'jwt'`,
    ],
    [
      'that does not know its resource',
      indicators(() => {
        throw new Error('no such resource')
      }),
      'getResourceServerInfo failed',
    ],
  ])('rejects a provider %s', async (_, features, message) => {
    await expect(start(providerWith(features))).rejects.toThrow(message)
  })

  it('rejects a provider of another copy of oidc-provider', async () => {
    const modules = fileURLToPath(new URL('../../../node_modules/', import.meta.url))
    const folder = mkdtempSync(join(modules, '.another-copy-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    cpSync(join(modules, 'oidc-provider/'), folder, { recursive: true })
    const { href } = pathToFileURL(join(folder, 'lib/index.js'))
    const { Provider: Other } = (await import(/* @vite-ignore */ href)) as { Provider: typeof Provider }
    expect(Other).not.toBe(Provider)
    const foreign = providerWith(
      indicators(() => jwt),
      Other,
    )
    await expect(start(foreign)).rejects.toThrow('oidc-provider is installed twice')
  })
})

describe('development mode', () => {
  const environment = process.env.NODE_ENV
  afterEach(() => {
    process.env.NODE_ENV = environment
  })

  it('is refused in production', () => {
    process.env.NODE_ENV = 'production'
    const provider = providerWith(indicators(() => jwt))
    expect(() => start(provider, { development: true })).toThrow('not allowed if NODE_ENV is production')
  })
})
