import type { Provider } from 'oidc-provider'
import type { OidcProviderModule } from './load-oidc-provider.js'

/** The part of the provider's configuration that the grant reads. */
interface Configuration {
  readonly features?: {
    readonly dPoP?: { readonly enabled?: boolean }
    readonly resourceIndicators?: {
      readonly enabled?: boolean
      readonly getResourceServerInfo?: (ctx: unknown, resource: string, client: unknown) => unknown
    }
  }
}

/**
 * Checks at start what would otherwise fail with the first token request.
 *
 * @throws Error naming the option of the provider that is wrong
 */
export async function checkProvider(
  provider: Provider,
  { Provider, configurationOf }: OidcProviderModule,
  resources: readonly string[],
): Promise<void> {
  if (!(provider instanceof Provider)) {
    throw configurationError(
      'oidc-provider is installed twice: the provider comes from another copy than the one that ajwt ' +
        'loads. Run `npm ls oidc-provider`, and keep one',
    )
  }
  const { dPoP, resourceIndicators } =
    (configurationOf(provider) as Configuration | undefined)?.features ?? {}
  if (dPoP?.enabled !== true)
    throw configurationError('features.dPoP must be enabled in the configuration of the provider')
  if (resourceIndicators?.enabled !== true)
    throw configurationError(
      'features.resourceIndicators must be enabled in the configuration of the provider',
    )
  for (const resource of resources) {
    const info = await getInfo(resourceIndicators.getResourceServerInfo, resource)
    const { accessTokenFormat }: { accessTokenFormat?: unknown } = Object(info)
    if (accessTokenFormat !== 'jwt')
      throw configurationError(`getResourceServerInfo must give ${resource} the accessTokenFormat 'jwt'`)
  }
}

async function getInfo(
  getResourceServerInfo: ((ctx: unknown, resource: string, client: unknown) => unknown) | undefined,
  resource: string,
): Promise<unknown> {
  try {
    return await getResourceServerInfo?.(undefined, resource, undefined)
  } catch (cause) {
    throw configurationError(`getResourceServerInfo failed for ${resource}`, cause)
  }
}

function configurationError(what: string, cause?: unknown): Error {
  return new Error(`agentChecksumGrant: ${what}`, { cause })
}
