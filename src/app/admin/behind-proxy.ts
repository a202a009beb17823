/** Tells requests that a proxy passed on: where they really come from nobody can say. */
import type { IncomingHttpHeaders } from 'node:http'

/** What proxies, balancers and content networks add of themselves, and of who asked them. */
const ADDED =
  /^(?:forwarded|via|x-forwarded(?:-.*)?|x-real-ip|(?:x-)?client-ip|x-cluster-client-ip|x-original-.*|true-client-ip|cf-.*|fastly-.*|fly-.*|x-envoy-.*|x-appengine-.*|x-azure-.*|x-amzn-.*|cdn-loop)$/

/** Whether a request came over a proxy, as far as its headers tell. */
export function cameThroughProxy(headers: IncomingHttpHeaders): boolean {
  return Object.keys(headers).some((name) => ADDED.test(name))
}
