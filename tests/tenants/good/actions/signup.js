exports.onExecutePreUserRegistration = async (event, api) => {
  const key = event.secrets.RISK_API_KEY;
  if (!key) {
    api.access.deny("not_now", "Signing up is not possible at the moment.");
  }
};
