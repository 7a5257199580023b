import type { errors, Provider } from 'oidc-provider'
import type * as Grants from 'oidc-provider/lib/helpers/grants.js'

const NEEDED = ['buildTokenResponse', 'checkDpopReplay', 'resolveRequestedResources', 'validateDpop'] as const

/** The exports of oidc-provider that the grant uses, in addition to the provider. */
export type OidcProviderModule = Pick<typeof Grants, (typeof NEEDED)[number]> & {
  readonly errors: typeof errors
  readonly Provider: abstract new (...args: never[]) => Provider
  /**
   * The provider's configuration with defaults; undefined if this version of oidc-provider stores it
   * elsewhere.
   */
  readonly configurationOf: (provider: Provider) => unknown
}

interface Modules {
  readonly main: () => Promise<{
    readonly errors?: typeof errors
    readonly Provider?: OidcProviderModule['Provider']
  }>
  readonly helpers: () => Promise<object>
  readonly internals: () => Promise<{ readonly default?: unknown }>
}

const installed: Modules = {
  main: () => import('oidc-provider'),
  helpers: () => import('oidc-provider/lib/helpers/grants.js'),
  // The module has no types, and a cast of the name keeps the compiler from resolving it.
  internals: () => import('oidc-provider/lib/helpers/weak_cache.js' as string),
}

/**
 * Loads the optional peer dependency. Its helpers for custom grants are not covered by semantic versioning,
 * so their absence is reported at start and not at the first token request.
 *
 * @throws Error naming what is missing
 */
export async function loadOidcProvider({
  main,
  helpers,
  internals,
}: Modules = installed): Promise<OidcProviderModule> {
  const { errors, Provider } = await main().catch(notLoaded)
  const grants: Partial<OidcProviderModule> = await helpers().catch(
    missing('it has no lib/helpers/grants.js'),
  )
  const lacks = NEEDED.filter((name) => typeof grants[name] !== 'function')
  if (lacks.length > 0) missing(`its lib/helpers/grants.js lacks ${lacks.join(', ')}`)()
  const { default: instance } = await internals().catch(missing('it has no lib/helpers/weak_cache.js'))
  const configurationOf = (provider: Provider) =>
    typeof instance === 'function' ? instance(provider)?.configuration : undefined
  return {
    ...(grants as OidcProviderModule),
    errors: errors as OidcProviderModule['errors'],
    Provider: Provider as OidcProviderModule['Provider'],
    configurationOf,
  }
}

function notLoaded(cause: unknown): never {
  // jest does not support import() by default.
  const { code }: { code?: unknown } = Object(cause)
  if (code === 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG')
    return missing(
      'it is an ES module, which this test runner cannot load ' +
        '(run jest with NODE_OPTIONS=--experimental-vm-modules)',
    )(cause)
  return missing('oidc-provider is not installed (npm install oidc-provider@9)')(cause)
}

function missing(what: string) {
  return (cause?: unknown): never => {
    throw new Error(`ajwt/oidc-provider needs oidc-provider 9 (tested with 9.13): ${what}`, {
      cause,
    })
  }
}
