exports.onExecutePostLogin = async (event, api) => {
  if (!event.request.query.code_challenge) {
    api.access.deny("PKCE is required");
  }
};
