exports.onExecutePostChallenge = async (event, api) => {
  api.authentication.challengeWith({ type: "otp" });
};
