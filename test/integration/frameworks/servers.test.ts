import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { openWorkspace, type Served, type Workspace, writtenFiles } from '../../support/frameworks.js'
import { isInstalled, needs } from '../../support/installed.js'

// The apps of docs/integrations.md that need no bundler, as they stand there, each over a socket.

const here = isInstalled('frameworks')
const note = needs('frameworks')
let workspace: Workspace

beforeAll(() => {
  if (here) workspace = openWorkspace()
}, 60_000)
afterAll(() => workspace?.remove())

const mayRefund = { scope: 'orders:read orders:refund', order_id: '17' }
const denied = (code: string) => expect.objectContaining({ code })

describe.skipIf(!here)(`NestJS${note}`, () => {
  const platforms = ['express', 'fastify'] as const
  const served = new Map<string, Served>()

  beforeAll(async () => {
    const compilerOptions = {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      skipLibCheck: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      allowJs: true,
      outDir: 'compiled',
      rootDir: '.',
      types: ['node'],
    }
    const include = [...platforms.map((platform) => `nest-${platform}/*.ts`), 'policy.js']
    workspace.add('tsconfig.json', JSON.stringify({ compilerOptions, include }))
    workspace.add('package.json', '{ "type": "module" }')
    for (const platform of platforms) {
      const imports = (code: string) => code.replace('ajwt/express', `ajwt/${platform}`)
      const main = platform === 'express' ? 'main' : 'main-fastify'
      workspace.write('nest/intent.ts', imports, `nest-${platform}/intent.ts`)
      workspace.write('nest/app.ts', undefined, `nest-${platform}/app.ts`)
      workspace.write(`nest/${main}.ts`, undefined, `nest-${platform}/main.ts`)
    }
    workspace.node('.', workspace.tsc, '-p', '.')
    for (const platform of platforms)
      served.set(platform, await workspace.serve('compiled', [`nest-${platform}/main.js`]))
  }, 60_000)

  test.each(platforms)('on %s', async (platform) => {
    const { ask } = served.get(platform) as Served
    expect(await ask('GET', '/orders/17')).toEqual([200, { order: '17', readBy: 'agent-7' }])
    expect(await ask('GET', '/orders/17', { claims: null })).toEqual([401, denied('credentials_missing')])
    expect(await ask('GET', '/elsewhere')).toEqual([403, denied('route_not_declared')])
    expect(await ask('POST', '/orders/17')).toEqual([403, denied('scope_insufficient')])
    expect(await ask('POST', '/orders/17', { claims: mayRefund })).toEqual([201, { refunded: '17' }])
    expect(await ask('POST', '/orders/18', { claims: mayRefund })).toEqual([403, denied('claim_not_allowed')])
  })

  it.each(platforms)('sends the challenge of a rule on %s', async (platform) => {
    const { origin, headersOf } = served.get(platform) as Served
    const response = await fetch(`${origin}/orders/17`, {
      method: 'POST',
      headers: headersOf('POST', '/orders/17'),
    })
    expect(response.headers.get('www-authenticate')).toContain('scope="orders:read orders:refund"')
  })

  it.each(platforms)('shows its routes to verifyRoutes on %s', (platform) => {
    const onExpress = platform === 'express'
    workspace.add(
      `compiled/nest-${platform}/routes.js`,
      `import 'reflect-metadata'
import { NestFactory } from '@nestjs/core'
${onExpress ? '' : "import { FastifyAdapter } from '@nestjs/platform-fastify'"}
import { ajwt, verifyRoutes } from 'ajwt/${platform}'
import { policy } from '../policy.js'
import { App } from './app.js'
const reports = []
for (const prefix of ['', 'v1']) {
  const app = await NestFactory.create(App, ${onExpress ? '' : 'new FastifyAdapter(), '}{ logger: false })
  app.setGlobalPrefix(prefix)
  ${onExpress ? 'app.use(ajwt(policy))' : 'await app.register(ajwt, { policy })'}
  await app.init()
  const { uncovered, unanswered, beforeMiddleware } = await verifyRoutes(app.getHttpAdapter().getInstance(), policy)
  reports.push([uncovered, unanswered, beforeMiddleware].map((list) => list.map(({ path }) => path)))
  await app.close()
}
console.log(JSON.stringify(reports))`,
    )
    const [plain, prefixed] = JSON.parse(workspace.node('compiled', `nest-${platform}/routes.js`))
    const elsewhere = ['/graphql', '/trpc/*', '/trpc/*']
    expect(plain).toEqual([[], ['/health', ...elsewhere], []])
    expect(prefixed).toEqual([
      ['/v1/orders/:id', '/v1/orders/:id', ...(onExpress ? ['/v1/*path'] : [])],
      ['/health', '/orders/:id', '/orders/:id', ...elsewhere],
      [],
    ])
  })
})

describe.skipIf(!here)(`tRPC${note}`, () => {
  const both = '/trpc/order,payroll?batch=1'
  const withoutRules = (code: string) => code.replace('await checkIntent(ctx.req, rule)', 'undefined')

  it('gives each procedure of a batch its own answer', async () => {
    workspace.write('trpc')
    const { ask } = await workspace.serve('trpc', ['server.js'])
    const [status, results] = await ask('GET', both)
    expect([status, results]).toEqual([
      207,
      [
        { result: { data: { order: '17' } } },
        { error: expect.objectContaining({ message: 'scope_insufficient' }) },
      ],
    ])
    expect(JSON.stringify(results)).not.toContain('5000')
    expect((await ask('GET', '/trpc/payroll'))[0]).toBe(403)
    expect((await ask('GET', both, { claims: null }))[0]).toBe(401)
    const all = await ask('GET', both, { claims: { scope: 'orders:read payroll:read' } })
    expect([all[0], JSON.stringify(all[1])]).toEqual([200, expect.stringContaining('5000')])
  })

  it('without the rules of the procedures, hands everything to a token for one of them', async () => {
    workspace.write('trpc', withoutRules, 'trpc-open')
    const { ask } = await workspace.serve('trpc-open', ['server.js'])
    const [status, results] = await ask('GET', both)
    expect([status, JSON.stringify(results)]).toEqual([200, expect.stringContaining('5000')])
  })
})

describe.skipIf(!here)(`GraphQL Yoga${note}`, () => {
  const both = { body: { query: '{ order(id: "17") payroll }' }, claims: { order_id: '17' } }
  const withoutRules = (code: string) =>
    code.replace('await checkIntent(context.req, rule, args)', 'undefined')

  it('gives each field of a document its own answer', async () => {
    workspace.write('graphql')
    const { ask } = await workspace.serve('graphql', ['server.js'])
    const codes = async (query: string, claims = {}) => {
      const [, body] = await ask('POST', '/graphql', {
        body: { query },
        claims: { order_id: '17', ...claims },
      })
      const { data, errors = [] } = body as { data: unknown; errors?: { extensions: { code: string } }[] }
      return [data, errors.map(({ extensions }) => extensions.code)]
    }
    expect(await codes('{ order(id: "17") payroll }')).toEqual([
      { order: 'order 17', payroll: null },
      ['scope_insufficient'],
    ])
    // Aliases ask for one field many times, each time with arguments of its own.
    expect(await codes('{ a: order(id: "17") b: order(id: "18") }')).toEqual([
      { a: 'order 17', b: null },
      ['claim_not_allowed'],
    ])
    const scope = 'orders:read payroll:read'
    expect(await codes('{ payroll }', { scope })).toEqual([{ payroll: 5000 }, []])
    expect(await ask('POST', '/graphql', { ...both, claims: null })).toEqual([
      401,
      denied('credentials_missing'),
    ])
    expect((await ask('GET', '/graphql?query={payroll}'))[0]).toBe(403)
  })

  it('without the rules of the resolvers, hands everything to a token for one of them', async () => {
    workspace.write('graphql', withoutRules, 'graphql-open')
    const { ask } = await workspace.serve('graphql-open', ['server.js'])
    expect(await ask('POST', '/graphql', both)).toEqual([200, { data: { order: 'order 17', payroll: 5000 } }])
  })
})

test.skipIf(!here)(`node:http${note}`, async () => {
  workspace.write('http')
  const { ask } = await workspace.serve('http', ['server.js'])
  expect(await ask('GET', '/health', { claims: null })).toEqual([200, { ok: true }])
  expect(await ask('GET', '/orders/17')).toEqual([200, { order: '17', readBy: 'agent-7' }])
  expect(await ask('GET', '/orders/17', { claims: null })).toEqual([401, denied('credentials_missing')])
  expect(await ask('GET', '/orders//17')).toEqual([403, denied('route_not_declared')])
  expect((await ask('POST', '/orders/17'))[0]).toBe(404)
})

test('no app of the document is left out, here and beside', () => {
  const apps = new Set(writtenFiles.map((name) => name.split('/')[0]))
  expect([...apps]).toEqual([
    'policy.js',
    'nest',
    'next',
    'svelte',
    'trpc',
    'graphql',
    'http',
    'cedar',
    'casbin',
  ])
})
