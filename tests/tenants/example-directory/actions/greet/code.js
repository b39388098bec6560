exports.onExecutePostLogin = async (event, api) => {
  const apiKey = "canary-14-canary";
};
