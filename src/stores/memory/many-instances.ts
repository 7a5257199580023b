import { sharedInProcess } from '../../lib/copies.js'
import { isObject } from '../../lib/objects.js'
import { processWarning } from '../../lib/process-warning.js'

/** Environment variables of platforms that run several instances of a function. */
const functionVariables = {
  AWS_LAMBDA_FUNCTION_NAME: 'AWS Lambda',
  VERCEL: 'Vercel',
  NETLIFY: 'Netlify',
  FUNCTION_TARGET: 'Google Cloud Functions',
  K_SERVICE: 'Google Cloud Run',
  FUNCTIONS_WORKER_RUNTIME: 'Azure Functions',
  DENO_DEPLOYMENT_ID: 'Deno Deploy',
} as const

/** The platform, if it is known to run several instances of this program. */
export function findPlatform(): string | undefined {
  const navigator: unknown = Reflect.get(globalThis, 'navigator')
  if (isObject(navigator) && navigator.userAgent === 'Cloudflare-Workers') return 'Cloudflare Workers'
  if ('EdgeRuntime' in globalThis) return 'an edge runtime'
  const env = globalThis.process?.env ?? {}
  const found = Object.entries(functionVariables).find(([name]) => env[name])
  return found?.[1]
}

const warned = sharedInProcess('memory store warnings', () => new Set<string>())

/**
 * Warns once that a memory store is not shared with other instances. Call this at the first use of the store.
 */
export function warnAboutManyInstances(store: string, effect: string): void {
  if (warned.has(store)) return
  warned.add(store)
  const platform = findPlatform()
  if (platform === undefined) return
  processWarning(
    `${store} is per instance, and ${platform} runs many: ${effect}. ` +
      'See docs/deployment.md, "Serverless and Workers"',
    'AJWT_MEMORY_STORE',
  )
}
