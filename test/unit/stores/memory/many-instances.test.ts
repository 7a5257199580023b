import { afterEach, expect, test, vi } from 'vitest'
import { findPlatform, warnAboutManyInstances } from '../../../../src/stores/memory/many-instances.js'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
})

test.each([
  ['AWS_LAMBDA_FUNCTION_NAME', 'orders', 'AWS Lambda'],
  ['VERCEL', '1', 'Vercel'],
  ['K_SERVICE', 'orders', 'Google Cloud Run'],
  ['FUNCTIONS_WORKER_RUNTIME', 'node', 'Azure Functions'],
  ['DENO_DEPLOYMENT_ID', 'x', 'Deno Deploy'],
])('%s tells that there are many instances', (name, value, platform) => {
  expect(findPlatform()).toBeUndefined()
  vi.stubEnv(name, value)
  expect(findPlatform()).toBe(platform)
})

test('Workers and edge runtimes are known by their globals', () => {
  vi.stubGlobal('navigator', { userAgent: 'Cloudflare-Workers' })
  expect(findPlatform()).toBe('Cloudflare Workers')
  vi.stubGlobal('navigator', undefined)
  expect(findPlatform()).toBeUndefined()
  vi.stubGlobal('EdgeRuntime', 'vercel')
  expect(findPlatform()).toBe('an edge runtime')
})

test('the warning comes once for each store, and only there', () => {
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  warnAboutManyInstances('one store', 'x')
  vi.stubEnv('AWS_LAMBDA_FUNCTION_NAME', 'orders')
  warnAboutManyInstances('one store', 'x')
  expect(warnings).not.toHaveBeenCalled()
  warnAboutManyInstances('another store', 'a proof can be used once in each')
  warnAboutManyInstances('another store', 'a proof can be used once in each')
  expect(warnings).toHaveBeenCalledOnce()
  const message =
    'another store is per instance, and AWS Lambda runs many: a proof can be used once in each. See docs/deployment.md, "Serverless and Workers"'
  expect(warnings).toHaveBeenCalledWith(message, { type: 'AjwtWarning', code: 'AJWT_MEMORY_STORE' })
  warnings.mockRestore()
})
