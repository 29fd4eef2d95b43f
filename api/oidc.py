"""An OpenID Connect provider, seen from us: the authorization code flow with PKCE, and what is checked of its answer.

    sign-in ──► provider's page ──► callback with a code ──► token endpoint ──► id token ──► claims

Checked of the id token: signature by a key of the provider with an algorithm that is not symmetric, issuer, audience,
`azp`, both times with a minute's leeway, and the nonce of this one sign-in. An unknown key is looked for once more, at
most once in `KEYS_PAUSE_S`, because providers change theirs.
"""

import asyncio
import base64
import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2
import jwt

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_S: Final = 60
TIMEOUT_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 256 * 1024
DISCOVERY_S: Final = 3_600.0
KEYS_PAUSE_S: Final = 30.0
KEYS_S: Final = 3_600.0
"""A key that the provider has withdrawn is believed for so long at most."""

TOKEN_MAX_CHARACTERS: Final = 32_768
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_REQUIRED: Final = ["iss", "aud", "exp", "iat", "sub"]


class ProviderError(Exception):
    """Somebody cannot be signed in by the provider. `code` says why in one word; nothing personal is in it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in that is under way, known to the browser that began it and to nobody else."""

    state: str
    nonce: str
    verifier: str

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def new_attempt() -> Attempt:
    return Attempt(*(secrets.token_urlsafe(32) for _ in range(3)))


class Provider:
    """The provider at `issuer`. `monotonic` counts seconds; a test may give its own."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._monotonic = monotonic
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        self._described: tuple[float, Mapping[str, Any]] | None = None
        self._keys: dict[str, jwt.PyJWK] = {}
        self._keys_read_s = -math.inf
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        await self._http.aclose()

    async def address(self, attempt: Attempt) -> str:
        """Where the browser is sent. Raises ProviderError."""
        endpoint = self._endpoint(await self._description(), "authorization_endpoint")
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid profile",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def claims(self, code: str, attempt: Attempt, issuer: str | None = None) -> Mapping[str, Any]:
        """What the provider says of who has signed in, checked. `issuer`: as the callback named it (RFC 9207).

        Raises ProviderError.
        """
        if issuer is not None and issuer != self.issuer:
            raise ProviderError("wrong_issuer")
        description = await self._description()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
        }
        methods = description.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = None
        if not self._client_secret or "client_secret_basic" not in methods:
            form["client_id"] = self._client_id
            if self._client_secret:
                form["client_secret"] = self._client_secret
        else:
            basic = httpx2.BasicAuth(self._client_id, self._client_secret)
        answer = await self._ask("POST", self._endpoint(description, "token_endpoint"), data=form, auth=basic)
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > TOKEN_MAX_CHARACTERS:
            raise ProviderError("no_id_token")
        return await self._verified(token, attempt.nonce, description)

    async def _verified(self, token: str, nonce: str, description: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise ProviderError("token_unreadable") from None
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise ProviderError("algorithm_refused")
        key = await self._key(header.get("kid"), description)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._client_id,
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={"require": _REQUIRED, "strict_aud": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise ProviderError(f"token_refused:{type(error).__name__}") from None
        parties = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims.get("azp", self._client_id) != self._client_id or (len(parties) > 1 and "azp" not in claims):
            raise ProviderError("for_another_party")
        if not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
            raise ProviderError("wrong_nonce")
        return claims

    async def _key(self, kid: Any, description: Mapping[str, Any]) -> jwt.PyJWK:
        found = self._find_key(kid)
        if found is not None and self._monotonic() - self._keys_read_s < KEYS_S:
            return found
        async with self._turn:
            found = self._find_key(kid)
            pause_s = KEYS_PAUSE_S if found is None else KEYS_S
            if self._monotonic() - self._keys_read_s >= pause_s:
                self._keys_read_s = self._monotonic()
                self._keys = _keys_of(await self._ask("GET", self._endpoint(description, "jwks_uri")))
                found = self._find_key(kid)
        if found is None:
            raise ProviderError("key_unknown")
        return found

    def _find_key(self, kid: Any) -> jwt.PyJWK | None:
        if kid is None:
            # Allowed where there is no choice.
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(str(kid))

    async def _description(self) -> Mapping[str, Any]:
        known = self._described
        if known is not None and self._monotonic() - known[0] < DISCOVERY_S:
            return known[1]
        address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        description = await self._ask("GET", address)
        if description.get("issuer") != self.issuer:
            raise ProviderError("wrong_issuer")
        self._described = (self._monotonic(), description)
        return description

    def _endpoint(self, description: Mapping[str, Any], name: str) -> str:
        address = description.get(name)
        parts = urlsplit(address) if isinstance(address, str) else None
        if parts is None or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
            raise ProviderError("endpoint_refused")
        return str(address)

    async def _ask(self, method: str, address: str, **more: Any) -> Mapping[str, Any]:
        content = bytearray()
        try:
            async with self._http.stream(method, address, **more) as response:
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > ANSWER_MAX_BYTES:
                        raise ProviderError("answer_too_long")
                if response.status_code != 200:
                    raise ProviderError("refused_by_provider" if response.status_code < 500 else "provider_unavailable")
            answer = httpx2.Response(200, content=bytes(content)).json()
        except httpx2.HTTPError:
            raise ProviderError("provider_unavailable") from None
        except ValueError:
            raise ProviderError("answer_unreadable") from None
        if not isinstance(answer, dict):
            raise ProviderError("answer_unreadable")
        return answer


def _keys_of(answer: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The keys that may sign, by id; what is not understood is left out."""
    found: dict[str, jwt.PyJWK] = {}
    listed = answer.get("keys")
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("use", "sig") != "sig" or each.get("kty") == "oct":
            continue
        try:
            found[str(each.get("kid", ""))] = jwt.PyJWK(each)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
    return found
