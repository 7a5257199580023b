import type { Provider } from 'oidc-provider'
import type { Peer } from './peer.js'

/** What the grant reads of a provider's configuration. */
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
 * Told at start what would otherwise be an odd answer to the first token request.
 *
 * @throws Error naming the option of the provider that is wrong
 */
export async function checkProvider(
  provider: Provider,
  { Provider, configurationOf }: Peer,
  resources: readonly string[],
): Promise<void> {
  if (!(provider instanceof Provider)) {
    throw wrong(
      'oidc-provider is installed twice: the provider comes from another copy than the one that ajwt loads. ' +
        'Run `npm ls oidc-provider`, and keep one',
    )
  }
  const { dPoP, resourceIndicators } =
    (configurationOf(provider) as Configuration | undefined)?.features ?? {}
  if (dPoP?.enabled !== true) throw wrong('features.dPoP must be enabled')
  if (resourceIndicators?.enabled !== true) throw wrong('features.resourceIndicators must be enabled')
  for (const resource of resources) {
    const info = await ask(() => resourceIndicators.getResourceServerInfo?.(undefined, resource, undefined))
    const { accessTokenFormat }: { accessTokenFormat?: unknown } = Object(info)
    if (accessTokenFormat !== 'jwt')
      throw wrong(`getResourceServerInfo must give ${resource} the accessTokenFormat 'jwt'`)
  }

  async function ask(getInfo: () => unknown): Promise<unknown> {
    try {
      return await getInfo()
    } catch (cause) {
      throw wrong('getResourceServerInfo failed for one of the resources', cause)
    }
  }
}

function wrong(what: string, cause?: unknown): Error {
  return new Error(`agentChecksumGrant: ${what}`, { cause })
}
