/*
 * Apps are opened at the address this server is known by. Under another name of the same host the launcher would be another
 * site to them, and to its own cookie.
 */

const { baseUrl } = document.getElementById("home").dataset;
if (location.origin !== new URL(baseUrl).origin) {
  location.replace(baseUrl + location.pathname + location.search);
}
