/**
 * Tables of the official x402 packages for EVM networks: names of networks (x402 v1) and default assets. Tests compare them with
 * those packages.
 */

/** Networks beyond those that Tollway names by itself: chain id and alias. */
export const MORE_NETWORKS: readonly (readonly [chainId: number, alias: string])[] = [
  [14, 'flare'],
  [50, 'xdc'],
  [51, 'xdc-apothem'],
  [143, 'monad'],
  [988, 'stable'],
  [1328, 'sei-testnet'],
  [1329, 'sei'],
  [1514, 'story'],
  [2201, 'stable-testnet'],
  [2741, 'abstract'],
  [3338, 'peaq'],
  [4326, 'megaeth'],
  [4689, 'iotex'],
  [11_124, 'abstract-testnet'],
  [31_611, 'mezo-testnet'],
  [31_612, 'mezo'],
  [41_923, 'educhain'],
  [42_220, 'celo'],
  [11_142_220, 'celo-sepolia'],
  [324_705_682, 'skale-base-sepolia'],
]

/** A token that is worth a dollar, and how it is paid with where not both ways. */
export type DollarToken = readonly [
  chainId: number,
  address: string,
  symbol: string,
  decimals: number,
  name: string,
  version: string,
  method?: 'permit2',
]

/** Dollar tokens beyond Circle's USDC on the networks that Tollway names by itself. */
export const MORE_DOLLAR_TOKENS: readonly DollarToken[] = [
  [4326, '0xfafddbb3fc7688494971a79cc65dca3ef82079e7', 'MegaUSD', 18, 'MegaUSD', '1', 'permit2'],
  [143, '0x754704bc059f8c67012fed69bc8a327a5aafb603', 'USDC', 6, 'USDC', '2'],
  [988, '0x779ded0c9e1022225f8e0630b35a9b54be713736', 'USDT0', 6, 'USDT0', '1'],
  [2201, '0x78cf24370174180738c5b8e352b6d14c83a6c9a9', 'USDT0', 6, 'USDT0', '1'],
  [31_612, '0xdd468a1ddc392dcdbef6db6e34e89aa338f9f186', 'mUSD', 18, 'Mezo USD', '1', 'permit2'],
  [31_611, '0x118917a40faf1cd7a13db0ef56c86de7973ac503', 'mUSD', 18, 'Mezo USD', '1', 'permit2'],
  [723_487, '0x33ad9e4bd16b69b5bfded37d8b5d9ff9aba014fb', 'SBC', 6, 'Stable Coin', '1', 'permit2'],
  [72_344, '0x33ad9e4bd16b69b5bfded37d8b5d9ff9aba014fb', 'SBC', 6, 'Stable Coin', '1', 'permit2'],
  [36_900, '0x9cb8142aebbcdc60af7c97af897a67a8f3ca71c2', 'USDC.e', 6, 'USDC.e', '2'],
  [190_415, '0x401ecb1d350407f13ba348573e5630b83638e30d', 'USDC.e', 6, 'Bridged USDC', '2'],
  [181_228, '0x401ecb1d350407f13ba348573e5630b83638e30d', 'USDC.e', 6, 'Bridged USDC', '2'],
  [50, '0xfa2958cb79b0491cc627c1557f441ef849ca8eb1', 'USDC', 6, 'USDC', '2'],
  [51, '0xb5ab69f7bbada22b28e79c8ffaece55ef1c771d4', 'USDC', 6, 'USDC', '2'],
  [38_833, '0xa5b8bf902b2844da17d4506cc827f7f1681735e7', 'USDC', 6, 'USDC', '1', 'permit2'],
  [14, '0xe7cd86e13ac4309349f30b3435a9d337750fc82d', 'USDT0', 6, 'USD\u20ae0', '1'],
  [42_220, '0xceba9300f2b948710d2653dd7b07f33a8b32118c', 'USDC', 6, 'USDC', '2'],
  [42_220, '0x48065fbbe25f71c9282ddf5e1cd6d6a887483d5e', 'USDT', 6, 'Tether USD', '1'],
  [42_220, '0xd2ab3c9a02dbbab236bfec45d1d755df4267f771', 'USAT', 6, 'Tether America USD', '1'],
  [11_142_220, '0x01c5c0122039549ad1493b8220cabedd739bc44e', 'USDC', 6, 'USDC', '2'],
  [1329, '0xe15fc38f6d8c56af07bbcbe3baf5708a2bf42392', 'USDC', 6, 'USDC', '2'],
  [1328, '0x4fcf1784b31630811181f670aea7a7bef803eaed', 'USDC', 6, 'USDC', '2'],
]
