"""Identity providers for tests: a real one in a process of its own, and one that can be told to lie."""

import asyncio
import base64
import contextlib
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from embedded.child_processes import LOOPBACK, free_port
from tests.serving import served

CLIENT, SECRET = "xunji-tests", "s3cret-of-the-client"
PAUSE_S = 0.02


@contextlib.asynccontextmanager
async def real_provider(*people: dict[str, Any]) -> AsyncIterator[str]:
    """`oidc-provider-mock` with these people, by their claims; gives its issuer."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    known = [word for each in people for word in ("--user-claims", json.dumps(each))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *known),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx2.AsyncClient() as http:
            while True:
                assert process.returncode is None, "the provider has ended"
                with contextlib.suppress(httpx2.TransportError):
                    await http.get(f"{issuer}/.well-known/openid-configuration")
                    break
                await asyncio.sleep(PAUSE_S)
        yield issuer
    finally:
        process.terminate()
        await process.wait()


@dataclass
class LyingProvider:
    """Answers as the standard says, checks PKCE and the client's secret, and changes what it is told to.

    `claims` go over the right ones (None takes one away), `header` over the token's header; `token_key` signs instead.
    """

    issuer: str
    key: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65_537, 2_048))
    kid: str = "k1"
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)
    token_key: Any = None
    token_answer: Any = None
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _describe(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **self.description,
            }
        )

    async def _authorize(self, request: Request) -> Response:
        """Whoever comes is signed in at once."""
        code = f"code-{len(self._codes)}"
        self._codes[code] = dict(request.query_params)
        back = {"code": code, "state": request.query_params["state"], "iss": self.issuer, "session_state": "x.y"}
        return RedirectResponse(f"{request.query_params['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        assert request.headers["authorization"] == f"Basic {basic}"
        begun = self._codes.pop(form["code"], None)
        if begun is None or form["redirect_uri"] != begun["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == begun["code_challenge"]
        if self.token_answer is not None:
            return JSONResponse(self.token_answer)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": self.token(begun["nonce"])})

    def token(self, nonce: str) -> str:
        now_s = int(time.time())
        right = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "u-17",
            "iat": now_s,
            "exp": now_s + 300,
            "nonce": nonce,
            "groups": ["bureau-staff"],
        }
        claims = {name: value for name, value in (right | self.claims).items() if value is not None}
        header = {"kid": self.kid, "alg": "RS256", **self.header}
        return jwt.encode(claims, self.token_key or self.key, algorithm=header["alg"], headers=header)

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return JSONResponse({"keys": [{**public, "kid": self.kid, "use": "sig"}, {"kty": "new-kind", "kid": "x"}]})


@contextlib.asynccontextmanager
async def lying_provider() -> AsyncIterator[LyingProvider]:
    port = free_port()
    provider = LyingProvider(f"http://{LOOPBACK}:{port}")
    async with served(provider.app(), port):
        yield provider
