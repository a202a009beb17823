/** Host names as a `Host` header carries them. */

/** A host name, an IPv4 address or a bracketed IPv6 address, in lower case, without scheme, port or path. */
export const HOST_NAME = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)$/

/** A {@link HOST_NAME}, caught as the first group, with an optional port behind it. */
export const HOST_WITH_PORT = new RegExp(`^(${HOST_NAME.source.slice(1, -1)})(?::\\d{1,5})?$`)
