import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { shapes } from '../../../fixtures/issuers/index.js'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { createVerifier, type Policy } from '../../../src/index.js'
import { knownServerSources } from '../../../src/policy/known-server-sources.js'
import { type KnownServerName, knownServers } from '../../../src/policy/known-servers.js'
import { honestShape, present } from '../../support/shapes.js'
import { outcomeOf } from '../../support/verify.js'

// Every policy of docs/issuers.md, as it stands there.

const root = fileURLToPath(new URL('../../..', import.meta.url))
const text = readFileSync(join(root, 'docs/issuers.md'), 'utf8')
const [guide = '', ...sections] = text.split(/^### /m)

function policies(markdown: string): Policy[] {
  return [...markdown.matchAll(/^```json\n(.*?)^```/gms)].map(([, json]) => JSON.parse(json as string))
}

/** The section of each server, by the name that its policy gives. */
const byName = new Map(
  sections.map((section) => {
    const [policy, ...others] = policies(section)
    expect([policy === undefined, others]).toEqual([false, []])
    return [String(Object(policy?.issuer).like), { section, policy: policy as Policy }]
  }),
)

/** "5 minutes", "1 hour", "30 days" */
function secondsOf(text: string): number {
  const [, count, unit] = /^(\d+) (minute|hour|day)s?$/.exec(text) ?? []
  return Number(count) * ({ minute: 60, hour: 3600, day: 86_400 }[String(unit)] ?? Number.NaN)
}

/** The table of servers that `like` has no name for, and the shape of each. */
const serversWithoutName = {
  'AD FS': 'adfs',
  'Azure AD B2C': 'azure-b2c',
  Buildkite: 'buildkite-oidc',
  Casdoor: 'casdoor',
  CircleCI: 'circleci-oidc',
  'Clerk, session': 'clerk-session-v2',
  'Connect2id server': 'connect2id',
  'Firebase Authentication': 'firebase',
  'Google Identity-Aware Proxy': 'google-iap',
  'Google service account, self-signed': 'google-self-signed',
  'HashiCorp Vault': 'vault-identity-token',
  'HCP Terraform': 'terraform-workload-identity',
  Kinde: 'kinde-m2m',
  OpenIddict: 'openiddict-client-credentials',
  'PingAM, ForgeRock AM': 'forgerock-am',
  Salesforce: 'salesforce-jwt',
  'SAP XSUAA': 'xsuaa',
  SPIRE: 'spire-with-issuer',
  'Spring Authorization Server': 'spring-authorization-server',
  Vercel: 'vercel-oidc',
  'WSO2 Identity Server, Asgardeo': 'wso2-identity-server',
}

describe('docs/issuers.md', () => {
  it('has a section and a row for each known server, with the address of its documentation', () => {
    expect([...byName.keys()].sort()).toEqual(Object.keys(knownServers).sort())
    for (const [name, { token }] of Object.entries(knownServers)) {
      const source = knownServerSources[name as KnownServerName]
      const [, lifetime] =
        new RegExp(`^\\| \\[\`${name}\`\\].*?\\| ([^|]*) \\|[^|]*\\|$`, 'm').exec(guide) ?? []
      expect([name, secondsOf(String(lifetime))]).toEqual([name, token.maxLifetime])
      expect(byName.get(name)?.section).toContain(`(${source})`)
      const types = token.types.map((type) => `\`${type}\``).join(', ')
      expect(guide).toMatch(
        new RegExp(`^\\| \\[\`${name}\`\\]\\(#[a-z0-9-]+\\) \\| ${types.replaceAll('+', '\\+')} \\|`, 'm'),
      )
    }
  })

  it.each(Object.keys(knownServers) as KnownServerName[])(
    '%s: its policy accepts the token of its server',
    async (name) => {
      const shape = honestShape(name)
      const { policy } = byName.get(name) as { policy: Policy }
      const token = await present(shape, policy)
      expect(outcomeOf(token)).toBe('allow')
    },
  )

  it.each(Object.entries(serversWithoutName))('%s: its keys are those that accept %s', (title, name) => {
    const row = new RegExp(`^\\| ${title} \\| \`(.*?)\` \\|`, 'm').exec(guide)
    const { header, token, read, claims } = shapes.find((shape) => shape.name === name)?.issuer ?? {}
    expect(JSON.parse(`{${row?.[1]}}`)).toEqual(JSON.parse(JSON.stringify({ header, token, read, claims })))
  })

  it('counts the shapes that the tests have', () => {
    const accepted = shapes.filter(({ expect: outcome }) => outcome === 'allow').length
    expect(guide).toContain(`the tests had ${shapes.length} shapes`)
    expect(guide).toContain(`${accepted} of the ${shapes.length} are accepted`)
    expect(guide).toContain(`The other ${shapes.length - accepted} are refused`)
    const [, day] = /^On (\d{4}-\d{2}-\d{2}) the tests had/m.exec(guide) ?? []
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(
      `On ${day}, ${accepted} of ${shapes.length} shapes of real tokens are accepted, and ${shapes.length - accepted} refused`,
    )
  })

  it('has policies in the guide that a verifier takes', () => {
    const found = policies(guide)
    expect(found).toHaveLength(5)
    for (const policy of found) createVerifier(policy).close()
  })

  it('observes what a stricter policy would refuse, and remembers no proof for the one that decides', async () => {
    const [code] = [...guide.matchAll(/^```ts\n(.*?)^```/gms)].map(([, block]) => block as string)
    const folder = mkdtempSync(join(root, 'node_modules', '.issuers-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'observe-next.ts')
    writeFileSync(file, (code as string).replace("from 'ajwt'", `from '${pathToFileURL(root)}src/index.ts'`))
    const { observeNext } = await import(/* @vite-ignore */ file)

    const kit = createKit(Date.now())
    const decides: Policy = {
      issuer: { url: ISSUER, jwks: issuerJwks(), profile: 'oauth' },
      audience: AUDIENCE,
      proof: { required: false },
      routes: { 'GET /orders/:id': { scope: 'orders:read' } },
    }
    const { proof, ...stricter } = decides
    expect(proof).toEqual({ required: false })
    const denied: string[] = []
    const observe = observeNext(stricter, (reason: string) => denied.push(reason))
    const verifier = createVerifier(decides)
    const send = async (headers: Record<string, string>) => {
      const request = { method: 'GET', url: '/orders/42', headers }
      await observe(request)
      return outcomeOf(await verifier.verify(request))
    }
    const bound = Object.fromEntries(kit.call().headers)
    const bearer = { authorization: `Bearer ${kit.token({ claims: { cnf: undefined } })}` }
    expect([await send(bound), denied]).toEqual(['allow', []])
    expect([await send(bearer), denied]).toEqual(['allow', ['proof_required']])
    verifier.close()
  })
})
