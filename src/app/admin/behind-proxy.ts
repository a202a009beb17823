/** Recognizes requests that a proxy forwarded: their real origin is unknown. */
import type { IncomingHttpHeaders } from 'node:http'

/** Headers that proxies, load balancers and content networks add. */
const ADDED =
  /^(?:forwarded|via|x-forwarded(?:-.*)?|x-real-ip|(?:x-)?client-ip|x-cluster-client-ip|x-original-.*|true-client-ip|cf-.*|fastly-.*|fly-.*|x-envoy-.*|x-appengine-.*|x-azure-.*|x-amzn-.*|cdn-loop)$/

/** Whether a request came through a proxy, according to its headers. */
export function cameThroughProxy(headers: IncomingHttpHeaders): boolean {
  return Object.keys(headers).some((name) => ADDED.test(name))
}
