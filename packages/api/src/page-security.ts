import { secureHeaders } from 'hono/secure-headers';
import type { MiddlewareHandler } from 'hono';

/** What a page needs beyond {@link pageSecurityHeaders}'s least. */
export interface PageNeeds {
  /** Images in the styles as `data:` URLs. */
  readonly dataImages?: boolean;
  /** Fonts of this host. */
  readonly fonts?: boolean;
  /** A `<base>` that points to this host. */
  readonly base?: boolean;
}

const OWN = ["'self'"];
const NONE = ["'none'"];

/** Security headers of our pages: they load only from this host, and must not be framed. All of them set styles from scripts. */
export function pageSecurityHeaders({
  dataImages = false,
  fonts = false,
  base = false,
}: PageNeeds = {}): MiddlewareHandler {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: NONE,
      scriptSrc: OWN,
      styleSrc: [...OWN, "'unsafe-inline'"],
      imgSrc: dataImages ? [...OWN, 'data:'] : OWN,
      ...(fonts ? { fontSrc: OWN } : {}),
      connectSrc: OWN,
      baseUri: base ? OWN : NONE,
      formAction: NONE,
      frameAncestors: NONE,
    },
  });
}
