// An ordinary site, as the README of express-openid-connect writes one. It knows nothing of mapae but an issuer's
// address, and a client's id and secret. Nothing of the library is patched or configured beyond what it asks for.
import express from "express";
import oidc from "express-openid-connect";

const { ISSUER, PORT, CLIENT_ID, CLIENT_SECRET, MODE, SCOPE } = process.env;
const here = `http://localhost:${PORT}`;
const app = express();
app.use(oidc.auth({
  authRequired: false,
  issuerBaseURL: ISSUER,
  baseURL: here,
  clientID: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  secret: "a long secret for the session cookie of this site",
  authorizationParams: { response_type: "code", response_mode: MODE || "query", scope: SCOPE || "openid profile" },
}));
app.get("/", (request, response) => response.send(request.oidc.isAuthenticated() ? "in" : "out"));
app.get("/me", oidc.requiresAuth(), async (request, response) => {
  response.json({ claims: request.oidc.idTokenClaims, told: await request.oidc.fetchUserInfo() });
});
app.use((error, request, response, next) => response.status(error.status || 500).json({ error: error.error, message: error.message }));
app.listen(Number(PORT), "127.0.0.1", () => console.log("open"));
