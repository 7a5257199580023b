import type { errors, Provider } from 'oidc-provider'
import type * as Grants from 'oidc-provider/lib/helpers/grants.js'

const NEEDED = ['buildTokenResponse', 'checkDpopReplay', 'resolveRequestedResources', 'validateDpop'] as const

/** What the grant uses of oidc-provider beyond the provider that it is given. */
export type Peer = Pick<typeof Grants, (typeof NEEDED)[number]> & {
  readonly errors: typeof errors
  readonly Provider: abstract new (...args: never[]) => Provider
  /** The provider's own configuration, with its defaults; undefined where this version keeps it elsewhere. */
  readonly configurationOf: (provider: Provider) => unknown
}

interface Modules {
  readonly main: () => Promise<{ readonly errors?: typeof errors; readonly Provider?: Peer['Provider'] }>
  readonly helpers: () => Promise<object>
  readonly internals: () => Promise<{ readonly default?: unknown }>
}

const installed: Modules = {
  main: () => import('oidc-provider'),
  helpers: () => import('oidc-provider/lib/helpers/grants.js'),
  // It has no types.
  internals: () => import('oidc-provider/lib/helpers/weak_cache.js' as string),
}

/**
 * The helpers that oidc-provider has for grants of others' making are outside its promise of stability: a
 * release without them must be told as what it is, and at start, not at the first token request.
 *
 * @throws Error naming what is missing
 */
export async function loadPeer({ main, helpers, internals }: Modules = installed): Promise<Peer> {
  const { errors, Provider } = await main().catch(notLoaded)
  const grants: Partial<Peer> = await helpers().catch(missing('it has no lib/helpers/grants.js'))
  const lacks = NEEDED.filter((name) => typeof grants[name] !== 'function')
  if (lacks.length > 0) missing(`its lib/helpers/grants.js lacks ${lacks.join(', ')}`)()
  const { default: instance } = await internals().catch(missing('it has no lib/helpers/weak_cache.js'))
  const configurationOf = (provider: Provider) =>
    typeof instance === 'function' ? instance(provider)?.configuration : undefined
  return {
    ...(grants as Peer),
    errors: errors as Peer['errors'],
    Provider: Provider as Peer['Provider'],
    configurationOf,
  }
}

function notLoaded(cause: unknown): never {
  // jest with its defaults has no import(), whatever is installed.
  const { code }: { code?: unknown } = Object(cause)
  if (code === 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG')
    return missing(
      'it is an ES module, which this test runner cannot load (run jest with NODE_OPTIONS=--experimental-vm-modules)',
    )(cause)
  return missing('oidc-provider is not installed')(cause)
}

function missing(what: string) {
  return (cause?: unknown): never => {
    throw new Error(`ajwt/oidc-provider needs oidc-provider 9 (9.13 is what it is tested with): ${what}`, {
      cause,
    })
  }
}
