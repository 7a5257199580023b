import type { RequestListener } from 'node:http'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fc from 'fast-check'
import Koa from 'koa'
import Koa2 from 'koa2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as forExpress from '../../../middleware/express.js'
import * as forKoa from '../../../middleware/koa.js'
import { createVerifier } from '../../../src/index.js'
import { createAccessTest, type ServerPair, startServerPair } from '../../support/routes/access-test.js'
import { answerField, fromField, registerExpress, registerKoa } from '../../support/routes/apps.js'
import { type Layout, layouts } from '../../support/routes/layouts.js'
import { asExpress, asHono, type DeclaredRoute, declare, mustMatch } from '../../support/routes/reference.js'
import { requestLists, toRequest } from '../../support/routes/scenarios.js'
import { assertOnSeeds, runsOf } from '../../support/routes/seeds.js'
import { honestValues, plainPath, routeLists } from '../../support/routes/spellings.js'
import { fieldsOf, isRefused, policyOf, replaceHead } from '../../support/routes/tokens.js'
import { openWire } from '../../support/routes/wire.js'

/*
 * The same guarantee where `ajwt` or the handlers are mounted below the app's root: the policy's paths are
 * whole paths all the same.
 */

const runsPerSeed = 6

const drafts = fc.record({
  inside: routeLists,
  outside: routeLists,
  unmatched: fc.constantFrom('deny' as const, 'authenticate' as const, 'public' as const),
  requests: requestLists,
  values: fc.array(fc.constantFrom(...honestValues), { minLength: 5, maxLength: 5 }),
})

/** Routes of a policy, of which some stand below the mount path. */
function placeRoutes(
  layout: Layout,
  inside: readonly DeclaredRoute[],
  outside: readonly DeclaredRoute[],
): { inside: DeclaredRoute[]; outside: DeclaredRoute[] } {
  const first = layout.prefix[0] as string
  return {
    inside: inside.map(({ methods, segments, access }) =>
      declare(methods, [...layout.prefix, ...segments], access),
    ),
    outside: outside
      .filter(({ segments }) => layout.isWhole && segments[0] !== first)
      .map(({ methods, segments, access }) =>
        declare(methods, segments, typeof access === 'object' ? { scope: `o${access.scope}` } : access),
      ),
  }
}

describe('a path that the app rewrites before ajwt is the rewritten one', () => {
  const old = declare(['GET'], ['old', ':id'], 'public')
  const moved = declare(['GET'], ['new', ':id'], { scope: 'new' })
  const routes = [old, moved]

  test.each([
    ['Express 5', express, '*rest'],
    ['Express 4', express4, '*'],
  ] as const)('%s', async (_name, framework, rest) => {
    const app = framework()
    app.use((req, _res, next) => {
      req.url = req.url.replace('/old/', '/new/')
      next()
    })
    app.use(forExpress.ajwt(policyOf(routes)))
    registerExpress(app, rest, routes)
    await tryRewritten(app)
  })

  test.each([
    ['Koa 3', Koa],
    ['Koa 2', Koa2],
  ] as const)('%s', async (_name, framework) => {
    const app = new framework()
    app.use((ctx, next) => {
      ctx.path = ctx.path.replace('/old/', '/new/')
      return next()
    })
    app.use(forKoa.ajwt(policyOf(routes)) as Koa.Middleware)
    const router = new KoaRouter()
    registerKoa(router, '*rest', routes)
    app.use(router.routes() as unknown as Koa.Middleware)
    await tryRewritten(app.callback())
  })

  async function tryRewritten(app: RequestListener): Promise<void> {
    const wire = await openWire()
    wire.serve(app)
    const request = { method: 'GET', target: '/old/1', headers: [] }
    expect((await wire.send(request)).status).toBe(401)
    const response = await wire.send({ ...request, headers: await fieldsOf(new Set(['new'])) })
    expect(fromField(response.headers.get(answerField))).toMatchObject({
      key: moved.key,
      grant: { route: '/new/:id', params: { id: '1' } },
    })
    await wire.close()
  }
})

test.each([Koa, Koa2])(
  'where a router of Koa passes its own middleware by, requireIntent lets nobody in',
  async (framework) => {
    const routes = [declare(['GET'], ['v1', 'x'], 'authenticated')]
    const verifier = createVerifier(policyOf(routes))
    const router = new KoaRouter({ prefix: '/v1' })
    router.use(forKoa.ajwt(verifier) as never)
    router.get('/x', forKoa.requireIntent({}) as never, (ctx) => {
      ctx.body = ''
    })
    const app = new framework()
    app.use(router.routes() as unknown as Koa.Middleware)
    const wire = await openWire()
    wire.serve(app.callback())
    const headers = await fieldsOf(new Set())
    expect((await wire.send({ method: 'GET', target: '/v1/x', headers })).status).toBe(200)
    expect((await wire.send({ method: 'GET', target: '/V1/x', headers })).status).toBe(503)
    await wire.close()
    verifier.close()
  },
)

for (const [framework, ofFramework] of Object.entries(layouts)) {
  describe(framework, () => {
    const semantics = framework === 'Hono 4' ? asHono : asExpress
    let servers: ServerPair
    beforeAll(async () => {
      servers = await startServerPair()
    })
    afterAll(() => servers.close())

    test.each(Object.entries(ofFramework))(
      '%s',
      async (_name, layout) => {
        let reached = 0
        await assertOnSeeds(
          fc.asyncProperty(drafts, async (draft) => {
            const placed = placeRoutes(layout, draft.inside, draft.outside)
            const isLooser = isRefused([...placed.inside, ...placed.outside])
            const inside = isLooser ? placed.inside.map(replaceHead) : placed.inside
            const outside = isLooser ? placed.outside.map(replaceHead) : placed.outside
            const routes = [...inside, ...outside]
            const verifier = createVerifier(policyOf(routes, { unmatched: draft.unmatched }))
            const accessTest = createAccessTest(
              servers,
              routes,
              layout.build(inside, outside, verifier),
              layout.build(inside, outside, undefined),
            )
            for (const request of draft.requests) await accessTest.sendAsIntruders(toRequest(request, routes))

            for (const route of routes) {
              const target = plainPath(route, draft.values)
              const request = { method: route.methods[0]?.replace('*', 'PUT') as string, target, headers: [] }
              const meant = await accessTest.handlerFor(request)
              if (meant === undefined || !mustMatch(routes, request.method, target, meant, semantics))
                continue
              const { status, answer } = await accessTest.call(request, meant)
              expect({ request, status, key: answer?.key }).toEqual({ request, status: 200, key: meant.key })
              reached++
            }
            verifier.close()
          }),
          runsPerSeed,
        )
        expect(reached).toBeGreaterThan(runsOf(runsPerSeed))
      },
      180_000,
    )
  })
}
