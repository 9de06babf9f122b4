/** What the provider is told: whether to do its work. */
export type ProviderCommand = { readonly kind: 'fail' } | { readonly kind: 'heal' };

/** What it tells. */
export type ProviderEvent = { readonly kind: 'listening'; readonly port: number };
