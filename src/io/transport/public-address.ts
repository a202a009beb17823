/** Which addresses are on the public internet (IANA's special-purpose registries, RFC 6890 and its updates). */
import { BlockList, isIPv4, isIPv6 } from 'node:net'

const NOT_PUBLIC_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // link-local; clouds answer with credentials here
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** Within 2000::/3, the only range allocated for the public internet. */
const NOT_PUBLIC_V6: readonly (readonly [string, number])[] = [
  ['2001::', 23], // Teredo and others
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4: any IPv4 address hides in it
  ['3fff::', 20],
]

/**
 * Whether an address is on the public internet. IPv4-mapped and translated IPv6 addresses never are.
 * @param address IPv4 or IPv6, without brackets
 */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !listOf(NOT_PUBLIC_V4, 'ipv4').check(address, 'ipv4')
  // An address with a zone (`fe80::1%eth0`) is local to this machine.
  if (!isIPv6(address) || address.includes('%')) return false
  return (
    listOf([['2000::', 3]], 'ipv6').check(address, 'ipv6') &&
    !listOf(NOT_PUBLIC_V6, 'ipv6').check(address, 'ipv6')
  )
}

function listOf(subnets: readonly (readonly [string, number])[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList()
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, family)
  return list
}
